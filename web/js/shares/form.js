import { ApiError, get, post } from "../lib/api.js";
import { byId, el } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { retried } from "../lib/poll.js";
import { explain } from "../lib/refusals.js";

const HOURS = [12, 24, 72, 168, 720, 2160];
const DEFAULT_HOURS = 72;

const form = byId("form");

/** Makes a link whenever the form is sent; `made` gets the new share. */
export function takeOrders(made) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    make(made);
  });
}

/** What there is to choose from. */
export async function fillForm() {
  const options = HOURS.map((hours) => el("option", { value: hours }, duration(hours)));
  form.elements.hours.append(...options);
  form.elements.hours.value = DEFAULT_HOURS;
  const { slots } = await retried(() => get("/api/slots"));
  const names = slots.map((slot) => el("option", { value: slot.id }, `${slot.name} (${slot.id})`));
  form.elements.slot_id.append(...names);
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
