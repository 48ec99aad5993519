import { byId, el, part } from "../lib/dom.js";
import { number, seconds } from "../lib/figures.js";
import { formatter, t } from "../lib/i18n.js";
import { dateTime } from "../lib/time.js";
import { bars, keyOf, lines } from "../parts/chart.js";
import { followPoints } from "../parts/cursor.js";

const OUTCOMES = ["done", "failed", "timeout"];
const DAY_SECONDS = 86_400;
const cursors = {};

/** Outcomes and durations over time, each with its figures in a table. */
export function showCharts(stats, windowMs) {
  const step = stats.step_seconds;
  const places = everyStep(stats).map((point) => ({ ...point, label: dateTime(point.at), short: short(point.at, step) }));
  // Before anything is drawn: a width is only known after a layout.
  const [outcomesWidth, durationsWidth] = [widthOf("outcomes"), widthOf("durations")];
  showOutcomes(places, outcomesWidth);
  showDurations(places, durationsWidth, windowMs);
}

const widthOf = (id) => part(byId(id), "chart").clientWidth;

/** The series with the steps in which nothing was shot, so that time runs evenly. */
function everyStep({ from, until, step_seconds: step, series }) {
  const start = Date.parse(series[0]?.at ?? from);
  const first = start - Math.floor((start - Date.parse(from)) / (step * 1000)) * step * 1000;
  const known = new Map(series.map((point) => [Math.round((Date.parse(point.at) - first) / (step * 1000)), point]));
  const count = Math.max(1, Math.ceil((Date.parse(until) - first) / (step * 1000)));
  return Array.from({ length: count }, (_none, place) => {
    const at = new Date(first + place * step * 1000).toISOString();
    return known.get(place) ?? { at, done: 0, failed: 0, timeout: 0, p50_ms: null, p95_ms: null };
  });
}

function showOutcomes(places, width) {
  const names = OUTCOMES.map((outcome) => t(`status.${outcome}`));
  const points = places.map((place) => ({ ...place, values: OUTCOMES.map((outcome) => place[outcome]) }));
  show("outcomes", bars, points, { names, width, words: whole });
}

function showDurations(places, width, windowMs) {
  const names = [t("statistics.p95"), t("statistics.p50")];
  const points = places.map((place) => ({ ...place, values: [place.p95_ms, place.p50_ms] }));
  show("durations", lines, points, { names, width, words: seconds, limit: windowMs });
}

function show(id, make, points, { names, width, words, limit }) {
  const box = byId(id);
  const place = part(box, "chart");
  const told = points.map(({ label, values }) => `${label}. ${names.map((name, series) => `${name}: ${words(values[series])}`).join(", ")}`);
  cursors[id] ??= followPoints(place, part(box, "told"));
  cursors[id](make(points, { title: t(`statistics.${id}`), width, words, limit }), told);
  part(box, "key").replaceChildren(...keyOf(names, limit && t("statistics.limit", { window: words(limit) })));
  part(box, "names").replaceChildren(rowOf("th", [t("journal.time"), ...names]));
  part(box, "rows").replaceChildren(...points.map(({ label, values }) => rowOf("td", [label, ...values.map(words)])));
}

function rowOf(tag, cells) {
  const scope = tag === "th" ? { scope: "col" } : {};
  return el("tr", {}, ...cells.map((cell) => el(tag, scope, cell)));
}

/** A tick between whole shots has no name. */
const whole = (value) => (Number.isInteger(value) ? number(value) : "");

function short(moment, step) {
  const options = step >= DAY_SECONDS / 4 ? { day: "numeric", month: "short" } : { hour: "2-digit", minute: "2-digit" };
  return formatter("DateTimeFormat", options).format(new Date(moment));
}
