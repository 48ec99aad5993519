import { byId, el, part } from "../lib/dom.js";
import { number, seconds } from "../lib/figures.js";
import { language, t } from "../lib/i18n.js";
import { dateTime } from "../lib/time.js";
import { bars, keyOf, line } from "../parts/chart.js";

const OUTCOMES = ["done", "failed", "timeout"];
const DAY_SECONDS = 86_400;

/** Outcomes and durations over time, each with its figures in a table. */
export function showCharts(stats, windowMs) {
  const step = stats.step_seconds;
  const places = everyStep(stats).map((point) => ({ ...point, label: dateTime(point.at), short: short(point.at, step) }));
  showOutcomes(places);
  showDurations(places, windowMs);
}

/** The series with the steps in which nothing was shot, so that time runs evenly. */
function everyStep({ from, until, step_seconds: step, series }) {
  const start = Date.parse(series[0]?.at ?? from);
  const first = start - Math.floor((start - Date.parse(from)) / (step * 1000)) * step * 1000;
  const known = new Map(series.map((point) => [Math.round((Date.parse(point.at) - first) / (step * 1000)), point]));
  const count = Math.max(1, Math.ceil((Date.parse(until) - first) / (step * 1000)));
  return Array.from({ length: count }, (_none, place) => {
    const at = new Date(first + place * step * 1000).toISOString();
    return known.get(place) ?? { at, done: 0, failed: 0, timeout: 0, p95_ms: null };
  });
}

function showOutcomes(places) {
  const names = OUTCOMES.map((outcome) => t(`status.${outcome}`));
  const points = places.map((place) => ({ ...place, values: OUTCOMES.map((outcome) => place[outcome]) }));
  const chart = bars(points, { title: t("statistics.outcomes"), names, words: whole });
  show(byId("outcomes"), chart, names, points.map(({ label, values }) => [label, ...values.map(number)]));
}

function showDurations(places, windowMs) {
  const names = [t("statistics.p95")];
  const points = places.map((place) => ({ ...place, value: place.p95_ms }));
  const chart = line(points, { title: t("statistics.durations"), words: seconds, limit: windowMs });
  show(byId("durations"), chart, names, points.map(({ label, value }) => [label, seconds(value)]));
}

function show(box, chart, names, rows) {
  part(box, "chart").replaceChildren(chart);
  part(box, "key").replaceChildren(...keyOf(names));
  part(box, "names").replaceChildren(rowOf("th", [t("journal.time"), ...names]));
  part(box, "rows").replaceChildren(...rows.map((cells) => rowOf("td", cells)));
}

function rowOf(tag, cells) {
  const scope = tag === "th" ? { scope: "col" } : {};
  return el("tr", {}, ...cells.map((cell) => el(tag, scope, cell)));
}

/** A tick between whole shots has no name. */
const whole = (value) => (Number.isInteger(value) ? number(value) : "");

function short(moment, step) {
  const options = step >= DAY_SECONDS / 4 ? { day: "numeric", month: "short" } : { hour: "2-digit", minute: "2-digit" };
  return new Intl.DateTimeFormat(language(), options).format(new Date(moment));
}
