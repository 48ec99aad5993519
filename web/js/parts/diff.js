import { el, part } from "../lib/dom.js";
import { has, t } from "../lib/i18n.js";

/** What differs between two states of a slot, as `[path, one, other]`. */
export function differences(one, other, path = "") {
  if (same(one, other)) return [];
  const [left, right] = [one ?? {}, other ?? {}];
  if (!isObject(left) || !isObject(right)) return [[path, one, other]];
  const names = [...new Set([...Object.keys(left), ...Object.keys(right)])];
  return names.flatMap((name) => differences(left[name], right[name], path ? `${path}.${name}` : name));
}

export const same = (one, other) => canonical(one) === canonical(other);

/** Fills the rows of a table; whether there are any. */
export function showDifferences(box, one, other) {
  const found = differences(one, other);
  part(box, "rows").replaceChildren(...found.map(([path, ...values]) => row(path, values)));
  return found.length > 0;
}

function row(path, values) {
  return el("tr", {}, el("th", { scope: "row" }, pathName(path)), ...values.map((value) => el("td", {}, shown(value))));
}

function pathName(path) {
  return path.split(".").map(stepName).join(" · ");
}

function stepName(step) {
  const key = ["slot", "setting", "settings"].map((kind) => `${kind}.${step}`).find((one) => has(one));
  return key ? t(key) : step;
}

function shown(value) {
  if (value === undefined || value === null || value === "") return "–";
  return typeof value === "object" ? JSON.stringify(value, null, 1) : String(value);
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** The order of keys means nothing. */
function canonical(value) {
  return JSON.stringify(value ?? null, (_key, part) =>
    isObject(part) ? Object.fromEntries(Object.entries(part).sort()) : part,
  );
}
