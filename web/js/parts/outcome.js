import { part } from "../lib/dom.js";
import { has, t } from "../lib/i18n.js";
import { explainReason } from "../lib/refusals.js";

const LIGHTS = { done: "ok", failed: "bad", timeout: "warn", pending: "busy" };

/** How a shot ended, or that it runs, told by light and words. */
export function showOutcome(node, job) {
  const { light, words } = outcomeOf(job);
  node.querySelector(".status").dataset.status = light;
  part(node, "light").dataset.icon = light;
  part(node, "words").textContent = words;
}

/** A picture that its device never had, or that could not be kept, was made all the same. */
function outcomeOf({ status, failure_reason: reason, stored, delivered }) {
  if (reason) return { light: LIGHTS[status], words: explainReason(reason) };
  if (status === "done" && stored === false) return { light: "warn", words: t("status.not_stored") };
  if (status === "done" && delivered === false) return { light: "warn", words: t("status.not_delivered") };
  return { light: LIGHTS[status], words: t(`status.${status}`) };
}

/** A provider, operation or the like in the reader's words; one without any as it is. */
export function nameOf(kind, name) {
  return has(`${kind}.${name}`) ? t(`${kind}.${name}`) : name;
}
