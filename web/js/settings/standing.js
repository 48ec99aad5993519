import { byId, el, icon } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { explain, explainReason } from "../lib/refusals.js";
import { ago, dateTime } from "../lib/time.js";
import { nameOf } from "../parts/outcome.js";

// How a provider stands that needs nobody.
const QUIET = ["ok", "unknown"];
const LIGHTS = { working: "ok", failing: "warn", skipped: "bad" };

/** How the providers' models went lately, and what is known of them without a shot. */
export function showModels(providers) {
  const rows = providers.flatMap((provider) => {
    const troubled = provider.standings.filter(({ reason, ends_soon: ends }) => ends || !QUIET.includes(reason));
    const known = [
      ...provider.models.map((one) => called(provider.name, one)),
      ...troubled.map((one) => warned(provider.name, one)),
    ];
    if (!provider.configured) return [row(provider.name, "–", "bad", t("settings.key.none"), "–")];
    return known.length ? known : [row(provider.name, "–", "idle", t("settings.never_called"), "–")];
  });
  byId("models").replaceChildren(...rows);
  byId("models-problem").textContent = "";
}

/** Says why the table may be old, until it is fresh again. */
export function missModels(error) {
  byId("models-problem").textContent = explain(error);
}

function called(provider, { model, state, reason, probe_at: probe, succeeded_at: answered }) {
  const words = [t(`settings.model.${state}`), reason && state !== "working" && explainReason(reason), probe && t("settings.probe", { time: ago(probe) })];
  return row(provider, model, LIGHTS[state], words.filter(Boolean).join(" "), answered ? ago(answered) : "–");
}

function warned(provider, { model, reason, shutdown_date: ends, since }) {
  const isBad = !QUIET.includes(reason);
  const words = [isBad && explainReason(reason), ends && t("settings.ends", { date: ends })];
  return row(provider, model, isBad ? "bad" : "warn", words.filter(Boolean).join(" "), since ? dateTime(since) : "–");
}

function row(provider, model, light, words, when) {
  const status = el("span", { class: "status", "data-status": light }, icon(light), words);
  return el("tr", {}, el("td", {}, nameOf("provider", provider)), el("td", {}, model), el("td", {}, status), el("td", {}, when));
}
