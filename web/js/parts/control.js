import { el } from "../lib/dom.js";
import { has, t } from "../lib/i18n.js";

const LONG = 1000;
let numbers = 0;

/** A field of a form for one value: `path` is the API's name of it, by which problems find it. */
export function makeField(path, rule, value, { label, help }) {
  const id = `field-${++numbers}`;
  const control = rule.enum ? choice(rule) : rule.type === "boolean" ? check() : text(rule);
  Object.assign(control, { id, name: path });
  control.dataset.kind = rule.enum ? "choice" : (rule.type ?? "string");
  control.dataset.nullable = rule.isNullable ? "yes" : "";
  setValue(control, value);
  const problem = el("p", { class: "problem", id: `${id}-problem` });
  const words = el("p", { class: "help", id: `${id}-help` }, help ?? "");
  control.setAttribute("aria-describedby", `${id}-help ${id}-problem`);
  const name = el("label", { for: id }, label);
  const field = el("div", { class: "field" }, name, control, words, problem);
  if (rule.examples) field.append(suggestions(control, rule.examples));
  if (control.tagName === "TEXTAREA") field.classList.add("broad");
  return field;
}

/** What a control says, as the API wants it; an empty one is null where nothing is allowed. One that
 * holds no number tells only its browser so: it must not pass for an empty one. */
export function valueOf(control) {
  const { kind, nullable } = control.dataset;
  if (kind === "boolean") return control.checked;
  if (control.validity.badInput) return "";
  if (control.value === "" && nullable) return null;
  if (kind === "integer" || kind === "number") {
    return control.value === "" ? null : Number(control.value);
  }
  return control.value;
}

export function setValue(control, value) {
  if (control.type === "checkbox") control.checked = Boolean(value);
  else control.value = value ?? "";
}

function choice({ enum: options, isNullable }) {
  const shown = options.map((option) => el("option", { value: option }, nameOf(option)));
  if (isNullable) shown.unshift(el("option", { value: "" }, t("slot.by_provider")));
  return el("select", {}, ...shown);
}

function nameOf(option) {
  return has(`option.${option}`) ? t(`option.${option}`) : option;
}

const check = () => el("input", { type: "checkbox" });

function text({ type, maxLength = 0, minimum, maximum, isRequired }) {
  if (type === "integer" || type === "number") {
    const step = type === "integer" ? 1 : "any";
    return el("input", { type: "number", min: minimum ?? "", max: maximum ?? "", step });
  }
  if (maxLength > LONG) return el("textarea", { rows: isRequired ? 6 : 2 });
  return el("input", { type: "text", spellcheck: false });
}

function suggestions(control, examples) {
  const list = el("datalist", { id: `${control.id}-list` });
  list.append(...examples.map((example) => el("option", { value: example })));
  control.setAttribute("list", list.id);
  return list;
}
