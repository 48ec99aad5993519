export const byId = (id) => document.getElementById(id);

/** A new element with properties and children; text stays text. `class`, `data-*`, `aria-*` and
 * `role` are attributes, everything else is set as a property. */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (/^(class|role|for|(data|aria)-.*)$/.test(name)) node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children);
  return node;
}

/** A copy of the first element of a `<template>`. */
export function clone(id) {
  return byId(id).content.firstElementChild.cloneNode(true);
}

/** The part of a component that calls itself `data-part="name"`. */
export function part(node, name) {
  return node.querySelector(`[data-part="${name}"]`);
}

/** Sets the text of parts: `{name: text}`. What has not changed is left alone, so that a selection
 * survives an update and a screen reader stays silent. */
export function write(node, texts) {
  for (const [name, text] of Object.entries(texts)) {
    const found = part(node, name);
    if (found.textContent !== String(text)) found.textContent = text;
  }
}

/** Names a button that shows only an icon: for screen readers, and for who points at it. */
export function nameButton(button, text) {
  button.setAttribute("aria-label", text);
  button.title = text;
}

/** A name with its value, for a `<dl>`. */
export const pair = (name, value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));

export function icon(name) {
  return el("span", { class: "icon", "data-icon": name, "aria-hidden": "true" });
}
