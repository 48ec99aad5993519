import { OfflineError } from "../lib/api.js";
import { confirmed } from "../lib/confirm.js";
import { byId } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { readyForAdmin } from "../lib/page.js";
import { explain } from "../lib/refusals.js";
import { showFinding, showPlan } from "../preflight/findings.js";
import { showLight, showProgress, showRest } from "../preflight/light.js";
import { activeSlots, run } from "../preflight/run.js";

let isAsking = false;
let planned = 0;
let found = 0;

byId("free").addEventListener("click", () => start(false));
byId("paid").addEventListener("click", askFirst);
await readyForAdmin();

async function askFirst() {
  if (isAsking) return;
  isAsking = true;
  const count = await activeSlots().catch(tell);
  isAsking = false;
  if (count === undefined) return;
  const asked = {
    title: t("preflight.ask_title", { count }),
    text: t("preflight.ask_text"),
    action: t("preflight.ask_action"),
    isDangerous: false,
  };
  if (await confirmed(asked)) start(true);
}

async function start(shots) {
  setBusy(true);
  byId("trouble").hidden = true;
  try {
    await run(shots, { plan, finding, light: showLight });
  } catch (error) {
    showRest();
    tell(error);
  } finally {
    setBusy(false);
  }
}

function plan(checks) {
  [planned, found] = [checks.length, 0];
  showPlan(checks);
  showProgress(found, planned);
}

function finding(one) {
  found += 1;
  showFinding(one);
  showProgress(found, planned);
}

function setBusy(isBusy) {
  for (const id of ["free", "paid"]) byId(id).disabled = isBusy;
}

function tell(error) {
  byId("trouble").textContent = error instanceof OfflineError ? t("preflight.cut") : explain(error);
  byId("trouble").hidden = false;
}
