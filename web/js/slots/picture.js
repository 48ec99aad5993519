import { part } from "../lib/dom.js";

/** The slot's newest picture for as long as it may be shown. The old one stays until the new one is
 * there, so nothing flickers. */
export function showPicture(card, slot) {
  const image = part(card, "picture");
  const shown = slot.last_picture_expires_at ? slot.last_success_job_id : "";
  if ((image.dataset.job ?? "") !== shown) load(image, shown);
  image.hidden = !shown;
  part(card, "no-shot").hidden = Boolean(shown);
}

function load(image, job) {
  image.dataset.job = job;
  if (job) image.src = `/public/results/${job}/preview`;
  else image.removeAttribute("src");
}
