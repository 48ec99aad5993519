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

/** Lets the form be sent, with what a link may open, everything or one of the slots `[id, name]`, and for
 * how long. Once; from then on the choice is the reader's. */
export function openForm(names) {
  const { slot_id: slots, hours } = form.elements;
  if (hours.options.length > 0) return;
  slots.append(...[...names].map(([id, name]) => el("option", { value: id }, `${name} (${id})`)));
  hours.append(...HOURS.map((count) => el("option", { value: count }, duration(count))));
  hours.value = DEFAULT_HOURS;
  byId("make").disabled = false;
}

const duration = (hours) =>
  hours < 48 ? t("shares.hour", { count: hours }) : t("shares.day", { count: hours / 24 });

async function make(made) {
  const { slot_id, label, hours } = form.elements;
  byId("make").disabled = true;
  byId("problem").textContent = "";
  try {
    const wanted = { slot_id: slot_id.value || null, label: label.value, hours: Number(hours.value) };
    await made(await post("/api/shares", wanted));
    label.value = "";
  } catch (error) {
    byId("problem").textContent = explain(error);
    if (error instanceof ApiError) form.elements[error.errors[0]?.path]?.focus();
  } finally {
    byId("make").disabled = false;
  }
}
