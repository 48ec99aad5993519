import { t } from "./i18n.js";

const KNOWN = [
  [/^Expected `(?:int|float)` >= ([\d.]+)/, "problem.at_least"],
  [/^Expected `(?:int|float)` <= ([\d.]+)/, "problem.at_most"],
  [/^Expected `str` of length >= (\d+)/, "problem.longer"],
  [/^Expected `str` of length <= (\d+)/, "problem.shorter"],
  [/^Expected `str` matching/, "problem.form"],
  [/^Expected `(?:int|float)/, "problem.number"],
  [/^Expected 0 \(untouched\) or 256 to 8192/, "problem.side"],
  [/^Object missing required field/, "problem.missing"],
  [/^There is no such template/, "problem.template"],
  [/^A template with the role (\w+) is required/, "problem.role"],
];

/** Puts each of the API's `{path, message}` at its field, in the reader's words where we have them; gives
 * those that have no field here. */
export function showProblems(form, errors) {
  clearProblems(form);
  const [homeless, shown] = [[], []];
  for (const error of errors) {
    const control = find(form, error.path);
    if (control) shown.push(show(control, words(error.message)));
    else homeless.push(`${error.path}: ${words(error.message)}`);
  }
  const first = shown.find(Boolean);
  first?.closest("details")?.setAttribute("open", "");
  first?.focus();
  return homeless;
}

export function clearProblems(form) {
  for (const control of form.querySelectorAll("[aria-invalid]")) clearProblem(control);
}

export function clearProblem(control) {
  control.removeAttribute("aria-invalid");
  const box = control.closest(".field")?.querySelector(".problem");
  if (box) box.textContent = "";
}

/** The control that is called like the path, or like the nearest thing around it. */
function find(form, path) {
  const steps = path.split(".");
  while (steps.length) {
    const found = form.elements.namedItem(steps.join("."));
    if (found) return found;
    steps.pop();
  }
  return null;
}

function show(control, text) {
  control.setAttribute("aria-invalid", "true");
  const box = control.closest(".field")?.querySelector(".problem");
  if (box) box.textContent = text;
  return control;
}

function words(message) {
  for (const [pattern, key] of KNOWN) {
    const found = pattern.exec(message);
    if (found) return t(key, { value: found[1] });
  }
  return message;
}
