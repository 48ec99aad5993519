import { ApiError, post } from "../lib/api.js";
import { byId } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { ready } from "../lib/page.js";
import { explain } from "../lib/refusals.js";

const form = byId("login");
const next = new URLSearchParams(location.search).get("next");

await ready();
byId("why").hidden = next === null;
byId("why").textContent = t("login.why");
form.elements.username.focus();
form.addEventListener("submit", signIn);
form.addEventListener("input", (event) => complain("", event.target));

async function signIn(event) {
  event.preventDefault();
  const missing = [...form.elements].find((field) => field.required && !field.value);
  if (missing) return complain(t(`login.missing_${missing.name}`), missing);
  byId("submit").disabled = true;
  try {
    await post("/api/login", Object.fromEntries(new FormData(form)));
    location.replace(isOurs(next) ? next : "/");
  } catch (error) {
    byId("submit").disabled = false;
    complain(explain(error), error instanceof ApiError ? form.elements.password : null);
  }
}

function complain(text, field) {
  byId("problem").textContent = text;
  if (!field) return;
  field.setAttribute("aria-invalid", String(text !== ""));
  field.setAttribute("aria-describedby", "problem");
  if (text) field.select();
}

/** Only a path of this site: `//host` and `/\host` lead elsewhere. */
function isOurs(path) {
  return path !== null && new URL(path, location.origin).origin === location.origin;
}
