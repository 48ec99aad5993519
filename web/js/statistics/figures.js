import { byId, el, pair } from "../lib/dom.js";
import { bytes, dollars, number, percent, seconds } from "../lib/figures.js";
import { formatter, t } from "../lib/i18n.js";
import { explainReason } from "../lib/refusals.js";

/** The figures of the window, large, and how many shots run at this moment. */
export function showFigures(stats, slots) {
  const inFlight = slots.reduce((all, slot) => all + slot.in_flight, 0);
  const size = stats.storage.reduce((all, { bytes: some }) => all + some, 0);
  const told = [
    ["statistics.shots", number(stats.shots)],
    ["slots.in_flight", number(inFlight)],
    ["statistics.success", percent(stats.success_share)],
    ["statistics.timeouts", percent(stats.timeout_share)],
    ["statistics.p50", seconds(stats.p50_ms)],
    ["statistics.p95", seconds(stats.p95_ms)],
    ["statistics.per_picture", ratio(stats.attempts_per_done)],
    ["job.tokens", number(stats.tokens)],
    ["job.cost", dollars(stats.cost_usd)],
    ["statistics.storage", bytes(size)],
  ];
  byId("figures").replaceChildren(...told.map(([key, value]) => pair(t(key), value)));
  byId("figures").setAttribute("aria-busy", "false");
}

/** Why shots failed, the most frequent first; each leads to its shots. */
export function showReasons({ reasons, slot_id: slot }) {
  byId("why").hidden = reasons.length === 0;
  const rows = reasons.map(({ reason, shots }) => {
    const query = new URLSearchParams({ reason, ...(slot && { slot_id: slot }) });
    const link = el("a", { href: `/journal?${query}` }, number(shots));
    return el("tr", {}, el("td", {}, explainReason(reason)), el("td", { class: "figure" }, link));
  });
  byId("reasons").replaceChildren(...rows);
}

export function showSlots(slots) {
  byId("slots").replaceChildren(...slots.map(row));
}

function row(slot) {
  const cells = [number(slot.shots), percent(slot.success_share), percent(slot.timeout_share), seconds(slot.p50_ms),
    seconds(slot.p95_ms), number(slot.in_flight), ratio(slot.attempts_per_done), dollars(slot.cost_usd)];
  const name = el("td", {}, el("a", { href: `/slots/${slot.id}` }, slot.name), el("span", { class: "soft small" }, slot.id));
  return el("tr", {}, name, ...cells.map((cell) => el("td", { class: "figure" }, cell)));
}

function ratio(value) {
  if (value === null) return "–";
  return formatter("NumberFormat", { maximumFractionDigits: 2 }).format(value);
}
