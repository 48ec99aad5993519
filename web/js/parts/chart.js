import { el } from "../lib/dom.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 720;
const HEIGHT = 200;
const [LEFT, RIGHT, TOP, BOTTOM] = [44, 8, 8, 22];
const STEPS = [1, 2, 5, 10];
const TICKS = 4;
const LABELS = 6;

/** Bars of several heights on each other. `points` are `{label, values}`, the values in the order of
 * `names`, each with its own class `series-N`; `words` gives a value for a person. */
export function bars(points, { title, names, words }) {
  const most = Math.max(1, ...points.map(({ values }) => sum(values)));
  const frame = makeFrame(points, most, title, words);
  points.forEach(({ label, values }, place) => {
    let below = 0;
    const pieces = values.map((value, series) => {
      const top = frame.y(below + value);
      const piece = draw("rect", {
        ...{ x: frame.x(place) + frame.step * 0.1, width: frame.step * 0.8, class: `series-${series}` },
        ...{ y: top, height: frame.y(below) - top },
      });
      below += value;
      return piece;
    });
    const told = names.map((name, series) => `${name}: ${words(values[series])}`).join(", ");
    frame.node.append(group(`${label}: ${told}`, pieces));
  });
  return frame.node;
}

/** A line for one value; where there is none it is broken. `limit` is drawn across. */
export function line(points, { title, words, limit }) {
  const known = points.filter(({ value }) => value !== null);
  const most = Math.max(1, limit ?? 0, ...known.map(({ value }) => value));
  const frame = makeFrame(points, most, title, words);
  if (limit) frame.node.append(draw("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: frame.y(limit), y2: frame.y(limit), class: "limit" }));
  const at = ({ value }, place) => (value === null ? null : [frame.x(place) + frame.step / 2, frame.y(value)]);
  const places = points.map(at);
  frame.node.append(draw("path", { d: pathOf(places), class: "series-0 stroke" }));
  points.forEach(({ label, value }, place) => {
    if (value === null) return;
    const [cx, cy] = places[place];
    frame.node.append(group(`${label}: ${words(value)}`, [draw("circle", { cx, cy, r: 3, class: "series-0" })]));
  });
  return frame.node;
}

function makeFrame(points, most, title, words) {
  const top = ceiling(most);
  const step = (WIDTH - LEFT - RIGHT) / Math.max(1, points.length);
  const x = (place) => LEFT + place * step;
  const y = (value) => TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM);
  const node = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img", "aria-label": title });
  for (let tick = 0; tick <= TICKS; tick++) {
    const value = (top * tick) / TICKS;
    node.append(draw("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value), class: "grid" }));
    node.append(text(LEFT - 6, y(value) + 4, words(value), "end"));
  }
  const every = Math.max(1, Math.ceil(points.length / LABELS));
  points.forEach(({ short }, place) => {
    if (place % every === 0) node.append(text(x(place) + step / 2, HEIGHT - 6, short, "middle"));
  });
  return { node, x, y, step };
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
      return command ?? "";
    })
    .join("");
}

function group(told, pieces) {
  const name = draw("title", {});
  name.textContent = told;
  const node = draw("g", {});
  node.append(name, ...pieces);
  return node;
}

function text(x, y, words, anchor) {
  const node = draw("text", { x, y, "text-anchor": anchor });
  node.textContent = words;
  return node;
}

function draw(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

/** What the colours mean. */
export function keyOf(names) {
  return names.map((name, series) => el("li", { class: `series-${series}` }, name));
}

const sum = (values) => values.reduce((all, value) => all + value, 0);
