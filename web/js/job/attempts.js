import { byId, el, icon } from "../lib/dom.js";
import { dollars, seconds } from "../lib/figures.js";
import { t } from "../lib/i18n.js";
import { explainReason } from "../lib/refusals.js";
import { nameOf } from "../parts/outcome.js";

/** Every call of a provider; its own words are text, whatever they hold. */
export function showAttempts(attempts) {
  byId("attempts").replaceChildren(...attempts.map(row));
  byId("no-attempts").hidden = attempts.length > 0;
}

function row(attempt) {
  const { provider, model, started_ms: started, ms, cost_microusd: cost } = attempt;
  return el("tr", {},
    el("td", { class: "figure" }, seconds(started)),
    el("td", {}, nameOf("provider", provider)),
    el("td", {}, model),
    el("td", {}, ...outcome(attempt)),
    el("td", { class: "figure" }, seconds(ms)),
    el("td", { class: "figure" }, cost === null ? "–" : dollars(cost / 1e6)),
  );
}

function outcome({ outcome, details, maybe_billed: isMaybeBilled }) {
  const isGood = outcome === "ok";
  const light = isGood ? "ok" : "bad";
  const words = isGood ? t("status.done") : explainReason(outcome);
  const found = [el("span", { class: "status", "data-status": light }, icon(light), words)];
  if (isMaybeBilled) found.push(el("span", { class: "soft small" }, t("job.maybe_billed")));
  if (details) found.push(el("code", { class: "words" }, details));
  return found;
}
