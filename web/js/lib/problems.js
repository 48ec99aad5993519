import { has, t } from "./i18n.js";

const KNOWN = [
  [/^Expected `(?:int|float)` >= (?<value>[\d.]+)/, "problem.at_least"],
  [/^Expected `(?:int|float)` <= (?<value>[\d.]+)/, "problem.at_most"],
  [/^Expected `str` of length >= (?<value>\d+)/, "problem.longer"],
  [/^Expected `str` of length <= (?<value>\d+)/, "problem.shorter"],
  [/^Expected `str` matching/, "problem.form"],
  [/^Expected `(?:int|float)/, "problem.number"],
  [/^Expected 0 \(untouched\) or 256 to 8192/, "problem.side"],
  [/^Object missing required field/, "problem.missing"],
  [/^There is no such template/, "problem.template"],
  [/^A template with the role (?<role>\w+) is required/, "problem.role"],
  [/^Expected at most (?<value>\d+) templates/, "problem.templates"],
  [/^(?<model>\S+) was shut down on (?<day>[\d-]+)/, "problem.model_gone"],
  [/^(?<model>\S+) (?:has no|takes none?)\b/, "problem.not_taken"],
  [/^(?<model>\S+) takes (?<value>\d+) images/, "problem.images"],
  [/^(?<model>\S+) takes (?<values>.+)/, "problem.takes"],
  [/^Expected (?<values>auto, .+) for (?<model>\S+)/, "problem.takes"],
  [/^Expected (?:sides|a shape|at most \d+x)/, "problem.size"],
  [/^A JPEG cannot be transparent/, "problem.transparent"],
];

/** Puts each of the API's `{path, message}` at its field, in the reader's words where we have them; gives
 * those that have no field here. */
export function showProblems(form, errors) {
  clearProblems(form);
  const [homeless, shown] = [[], []];
  for (const error of errors) {
    const control = find(form, error.path);
    if (control) shown.push(showProblem(control, words(error.message)));
    else homeless.push(`${error.path}: ${words(error.message)}`);
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

function words(message) {
  for (const [pattern, key] of KNOWN) {
    const found = pattern.exec(message);
    if (found) return t(key, named(found.groups));
  }
  return message;
}

function named(values = {}) {
  const role = `role.${values.role}`;
  return has(role) ? { ...values, role: t(role) } : values;
}
