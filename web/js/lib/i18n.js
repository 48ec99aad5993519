import { persist } from "./connection.js";

let texts = {};
const formatters = {};

export const language = () => document.documentElement.lang;

/** Fulfilled when there are words: the dictionary of the language that `boot.js` chose, however often it
 * has to be asked for. */
export const loaded = persist(load);

// The first formatter takes a browser long, whatever it is for: made while the first answers are on their way.
setTimeout(() => formatter("NumberFormat"));

async function load() {
  const address = new URL(`../../i18n/${language()}.json`, import.meta.url);
  const response = await fetch(address);
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  texts = await response.json();
}

/** The text of a key. `{name}` in it becomes `params.name`; a text with plural forms is chosen by
 * `params.count`. */
export function t(key, params = {}) {
  const found = texts[key];
  const text = typeof found === "object" ? found[plural(params.count)] : (found ?? key);
  return text.replace(/\{(\w+)\}/g, (mark, name) => params[name] ?? mark);
}

/** A formatter of `Intl` in the page's language, made once: that takes longer than to use it. */
export function formatter(kind, options = {}) {
  const key = kind + JSON.stringify(options);
  return (formatters[key] ??= new Intl[kind](language(), options));
}

export const has = (key) => key in texts;

/** Fills in the texts of everything under `root` that names one by `data-i18n` or, for
 * attributes, `data-i18n-attr="title:key aria-label:key"`. */
export function translate(root) {
  for (const node of root.querySelectorAll("[data-i18n]")) node.textContent = t(node.dataset.i18n);
  for (const node of root.querySelectorAll("[data-i18n-attr]")) {
    for (const pair of node.dataset.i18nAttr.split(" ")) {
      const [attribute, key] = pair.split(":");
      node.setAttribute(attribute, t(key));
    }
  }
  for (const template of root.querySelectorAll("template")) translate(template.content);
}

const plural = (count) => formatter("PluralRules").select(count);
