import { byId } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { nameTab, ready } from "../lib/page.js";
import { explainReason } from "../lib/refusals.js";

await ready();
const { reason } = document.querySelector("[data-reason]").dataset;
byId("what").textContent = explainReason(reason);
byId("advice").textContent = t("refusal.advice", { address: location.pathname });
nameTab(explainReason(reason));
