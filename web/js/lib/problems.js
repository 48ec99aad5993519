import { has, t } from "./i18n.js";

/** Puts each of the API's `{path, code, params, message}` at its field, in the reader's words; gives
 * those that have no field here. */
export function showProblems(form, errors) {
  clearProblems(form);
  const [homeless, shown] = [[], []];
  for (const error of errors) {
    const control = find(form, error.path);
    if (control) shown.push(showProblem(control, words(error, control)));
    else homeless.push(`${error.path}: ${words(error)}`);
  }
  const [first] = shown;
  first?.closest("details")?.setAttribute("open", "");
  first?.focus();
  return homeless;
}

export function clearProblems(form) {
  for (const control of form.querySelectorAll("[aria-invalid]")) clearProblem(control);
}

export function clearProblem(control) {
  control.removeAttribute("aria-invalid");
  tell(control, "");
}

/** The control that is called like the path, or like the nearest thing around it. What is no control
 * says its path as `data-path`. */
function find(form, path) {
  const steps = path.split(".");
  while (steps.length) {
    const path = steps.join(".");
    const found = form.elements.namedItem(path) ?? form.querySelector(`[data-path="${CSS.escape(path)}"]`);
    if (found) return found;
    steps.pop();
  }
  return null;
}

/** Says at a control what is wrong with it. */
export function showProblem(control, text) {
  control.setAttribute("aria-invalid", "true");
  tell(control, text);
  return control;
}

function tell(control, text) {
  const box = control.closest(".field")?.querySelector(".problem");
  if (box) box.textContent = text;
}

/** A service that is newer than this page may know more codes. */
function words({ code, params, message }, control) {
  const key = `problem.${code}`;
  if (!has(key)) return message;
  const spelt = Object.entries(params).map(([name, value]) => [name, inWords(name, value, control)]);
  return t(key, Object.fromEntries(spelt));
}

/** Roles and providers by their names, values as the control offers them. */
function inWords(name, value, control) {
  if (Array.isArray(value)) return value.map((one) => offered(one, control)).join(", ");
  return has(`${name}.${value}`) ? t(`${name}.${value}`) : value;
}

function offered(value, control) {
  const option = [...(control?.options ?? [])].find((one) => one.value === value);
  return option?.textContent ?? value;
}
