import { byId, clone, part, write } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { adviceOf, nameOf, wordsOf } from "./words.js";

const LIGHTS = { ok: "ok", warning: "warn", failed: "bad" };
const LOW_SHARE = 0.7;
const HIGH_SHARE = 0.9;
const rows = new Map();

const keyOf = (check) => `${check.check} ${check.subject}`;

/** A row for everything that will be looked at, waiting. */
export function showPlan(checks) {
  rows.clear();
  for (const check of checks) rows.set(keyOf(check), rowOf(check));
  const of = (isSlot) =>
    checks.filter((check) => (check.check === "slot") === isSlot).map((check) => rows.get(keyOf(check)));
  byId("service").replaceChildren(...of(false));
  byId("slots").replaceChildren(...of(true));
  byId("service").hidden = false;
  byId("slots").hidden = of(true).length === 0;
}

function rowOf(check) {
  const row = clone(check.check === "slot" ? "slot-finding" : "finding");
  write(row, { name: nameOf(check), words: t("preflight.waiting") });
  if (check.check === "slot") part(row, "name").href = `/slots/${check.subject}`;
  shine(row, "idle");
  return row;
}

/** What was found, and what to do about it. */
export function showFinding(finding) {
  const row = rows.get(keyOf(finding));
  shine(row, LIGHTS[finding.status]);
  write(row, { words: wordsOf(finding), advice: adviceOf(finding) });
  if (finding.figures.total_ms) showShot(row, finding.figures, finding.status);
}

function shine(row, status) {
  row.dataset.status = status;
  part(row, "light").dataset.icon = status;
}

/** The time it took against its window, and the picture. */
function showShot(row, figures, status) {
  const meter = part(row, "window");
  const window = figures.window_seconds * 1000;
  Object.assign(meter, { max: window, low: LOW_SHARE * window, high: HIGH_SHARE * window, optimum: 0 });
  meter.value = figures.total_ms;
  meter.hidden = false;
  if (status === "failed") return;
  const picture = part(row, "picture");
  picture.src = `/public/results/${figures.job_id}/preview`;
  picture.alt = t("preflight.picture");
  picture.hidden = false;
}
