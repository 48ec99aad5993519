import { ApiError, post, stayWhile } from "../lib/api.js";
import { byId, el } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { explain } from "../lib/refusals.js";

const HOURS = [12, 24, 72, 168, 720, 2160];
const DEFAULT_HOURS = 72;

const form = byId("form");

/** Makes a link whenever the form is sent; `made` gets the new share. */
export function takeOrders(made) {
  stayWhile(() => form.elements.label.value !== "");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    make(made);
  });
}

/** How long a link may live. */
export function offerHours() {
  const options = HOURS.map((hours) => el("option", { value: hours }, duration(hours)));
  form.elements.hours.append(...options);
  form.elements.hours.value = DEFAULT_HOURS;
}

/** What a link may open: everything, or one of the slots `[id, name]`. Once; from then on the choice
 * is the reader's. */
export function offerSlots(names) {
  const box = form.elements.slot_id;
  if (box.options.length > 1) return;
  box.append(...[...names].map(([id, name]) => el("option", { value: id }, `${name} (${id})`)));
}

const duration = (hours) =>
  hours < 48 ? t("shares.hour", { count: hours }) : t("shares.day", { count: hours / 24 });

async function make(made) {
  const { slot_id, label, hours } = form.elements;
  const button = form.querySelector("[type=submit]");
  button.disabled = true;
  byId("problem").textContent = "";
  try {
    const wanted = { slot_id: slot_id.value || null, label: label.value, hours: Number(hours.value) };
    await made(await post("/api/shares", wanted));
    label.value = "";
  } catch (error) {
    byId("problem").textContent = explain(error);
    if (error instanceof ApiError) form.elements[error.errors[0]?.path]?.focus();
  } finally {
    button.disabled = false;
  }
}
