import { clone, nameButton, part, write } from "../lib/dom.js";
import { number, percent, seconds } from "../lib/figures.js";
import { t } from "../lib/i18n.js";
import { copyOnClick } from "../parts/copy.js";
import { nameOf } from "../parts/outcome.js";
import { flipOnClick } from "./switch.js";

/** The card of the slot that `current()` gives; `refresh` is called when it has changed it. */
export function makeCard(current, base, refresh) {
  const card = clone("card");
  const { id } = current();
  for (const name of ["shot", "name"]) part(card, name).href = `/slots/${id}`;
  nameButton(part(card, "copy"), t("slots.copy", { slot: id }));
  copyOnClick(part(card, "copy"), `${base}/api/ingest/${id}`);
  flipOnClick(part(card, "switch"), current, refresh);
  return card;
}

export function updateCard(card, slot) {
  card.dataset.status = slot.health.status;
  part(card, "light").dataset.icon = slot.health.status;
  write(card, {
    name: slot.name,
    id: slot.id,
    reason: slot.health.reason,
    in_flight: t("slots.of", { value: number(slot.in_flight), limit: number(slot.max_in_flight) }),
    success: percent(slot.success_share),
    p95: seconds(slot.p95_ms),
    plan: `${nameOf("provider", slot.provider)} · ${nameOf("operation", slot.operation)}`,
  });
  showWindow(part(card, "window"), slot);
  showPicture(card, slot);
  updateSwitch(part(card, "switch"), slot);
}

function showWindow(meter, slot) {
  meter.max = slot.sync_response_seconds;
  meter.low = 0.8 * meter.max;
  meter.high = 0.95 * meter.max;
  meter.optimum = 0;
  meter.value = (slot.p95_ms ?? 0) / 1000;
  meter.title = t("slots.window", { p95: seconds(slot.p95_ms), window: slot.sync_response_seconds });
}

function updateSwitch(button, slot) {
  button.setAttribute("aria-checked", String(slot.is_active));
  button.setAttribute("aria-label", t("slots.switch", { slot: slot.name }));
}

/** The slot's newest picture for as long as it may be shown. The old one stays until the new one is
 * there, so nothing flickers. */
function showPicture(card, slot) {
  const image = part(card, "picture");
  const shown = slot.last_picture_expires_at ? slot.last_success_job_id : "";
  if ((image.dataset.job ?? "") !== shown) loadPicture(image, shown);
  image.hidden = !shown;
  part(card, "no-shot").hidden = Boolean(shown);
}

function loadPicture(image, job) {
  image.dataset.job = job;
  if (job) image.src = `/public/results/${job}/preview`;
  else image.removeAttribute("src");
}
