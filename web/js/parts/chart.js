import { el } from "../lib/dom.js";
import { draw } from "../lib/svg.js";

const HEIGHT = 200;
const [LEFT, RIGHT, TOP, BOTTOM] = [44, 8, 8, 22];
const NARROWEST = 240;
const LABEL_WIDTH = 96;
const STEPS = [1, 2, 5, 10];
const TICKS = 4;
// What is told by a colour is told by a hatch too: none, aslant, level.
const HATCHES = ["", "M0 6 6 0", "M0 3h6"];

/** Bars of several heights on each other. `points` are `{label, short, values}`, the values in the
 * order of their series, whose colours are those of the classes `series-N`; `words` gives a value for a
 * person. The chart is drawn for a place `width` pixels wide. */
export function bars(points, { title, width, words }) {
  const most = Math.max(1, ...points.map(({ values }) => sum(values)));
  const frame = makeFrame(points, { most, title, width, words });
  frame.node.append(draw("defs", {}, ...HATCHES.map(hatch)));
  points.forEach(({ values }, place) => {
    let below = 0;
    const pieces = values.map((value, series) => {
      const top = frame.y(below + value);
      const box = { x: frame.x(place) + frame.step * 0.1, width: frame.step * 0.8, y: top, height: frame.y(below) - top };
      below += value;
      return draw("rect", { ...box, fill: `url(#hatch-${series})` });
    });
    frame.add(place, pieces);
  });
  return frame.node;
}

/** A line for each of the `values` of the points; where there is none it is broken. `limit` is drawn
 * across. Otherwise as `bars`. */
export function lines(points, { title, width, words, limit }) {
  const known = points.flatMap(({ values }) => values).filter((value) => value !== null);
  const most = Math.max(1, limit, ...known);
  const frame = makeFrame(points, { most, title, width, words });
  if (limit) frame.node.append(frame.across(limit, "limit"));
  const middle = (place) => frame.x(place) + frame.step / 2;
  points[0]?.values.forEach((_value, series) => {
    const places = points.map(({ values }, place) => values[series] !== null && [middle(place), frame.y(values[series])]);
    frame.node.append(draw("path", { d: pathOf(places), class: `series-${series} stroke` }));
  });
  points.forEach(({ values }, place) => {
    const dots = values.map((value, series) =>
      value === null ? "" : draw("circle", { cx: middle(place), cy: frame.y(value), r: 3, class: `series-${series}` }),
    );
    frame.add(place, dots);
  });
  return frame.node;
}

/** What the marks of a chart mean, in the order of their series; `limit` names the line across. */
export function keyOf(names, limit) {
  const marks = names.map((name, series) => el("li", { class: `series-${series}` }, name));
  return limit ? [...marks, el("li", { class: "limit" }, limit)] : marks;
}

/** Axes, and a column for each point that takes the pointer over its whole height. */
function makeFrame(points, { most, title, width: wanted, words }) {
  const width = Math.max(NARROWEST, wanted);
  const top = ceiling(most);
  const step = (width - LEFT - RIGHT) / Math.max(1, points.length);
  const x = (place) => LEFT + place * step;
  const y = (value) => TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM);
  const across = (value, name) => draw("line", { x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value), class: name });
  const node = draw("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, class: "chart", role: "img", "aria-label": title });
  for (let tick = 0; tick <= TICKS; tick++) {
    const value = (top * tick) / TICKS;
    node.append(across(value, "grid"), text(LEFT - 6, y(value) + 4, words(value), "end"));
  }
  const every = Math.max(1, Math.ceil(points.length / Math.floor(width / LABEL_WIDTH)));
  points.forEach(({ short }, place) => {
    if (place % every === 0) node.append(text(x(place) + step / 2, HEIGHT - 6, short, "middle"));
  });
  const add = (place, pieces) => {
    const column = draw("rect", { x: x(place), y: TOP, width: step, height: HEIGHT - TOP - BOTTOM, class: "column" });
    node.append(draw("g", { "data-place": place }, column, ...pieces));
  };
  return { node, x, y, step, across, add };
}

function hatch(d, series) {
  const size = { width: 6, height: 6 };
  const marks = [draw("rect", { ...size, class: `series-${series}` }), draw("path", { d, class: "hatch" })];
  return draw("pattern", { id: `hatch-${series}`, ...size, patternUnits: "userSpaceOnUse" }, ...marks);
}

/** A round number that is no smaller, and divides well. */
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  const found = STEPS.find((step) => step * power >= value) * power;
  return Math.max(found, TICKS);
}

function pathOf(places) {
  let isDown = false;
  return places
    .map((place) => {
      const command = place && `${isDown ? "L" : "M"}${place[0].toFixed(1)} ${place[1].toFixed(1)}`;
      isDown = Boolean(place);
      return command || "";
    })
    .join("");
}

const text = (x, y, words, anchor) => draw("text", { x, y, "text-anchor": anchor }, words);

const sum = (values) => values.reduce((all, value) => all + value, 0);
