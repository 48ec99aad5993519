import { arrange } from "../lib/arrange.js";
import { clone, part } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { dateAndMinute } from "../lib/time.js";
import { openLightbox } from "./lightbox.js";
import { pageOf } from "./link.js";

const sections = new Map();
const thumbs = new Map();

/** A slot's pictures as on a contact sheet; the same element each time. */
export function sectionOf(slot, isNamed) {
  if (!sections.has(slot.slot_id)) sections.set(slot.slot_id, clone("slot"));
  const section = sections.get(slot.slot_id);
  part(section, "head").hidden = !isNamed;
  part(section, "name").textContent = slot.name;
  part(section, "name").href = pageOf("/g", slot.slot_id);
  arrange(part(section, "sheet"), slot.pictures.map(thumbOf));
  return section;
}

function thumbOf(picture) {
  if (!thumbs.has(picture.job_id)) thumbs.set(picture.job_id, made(picture));
  return thumbs.get(picture.job_id);
}

/** Its shape is known before it comes, so nothing jumps. A click with a key held opens its page. */
function made(picture) {
  const thumb = clone("thumb");
  const image = thumb.firstElementChild;
  thumb.href = `/r/${picture.job_id}`;
  thumb.style.setProperty("--ratio", picture.width / picture.height);
  image.alt = t("gallery.picture", { at: dateAndMinute(picture.finished_at) });
  image.src = `/public/results/${picture.job_id}/preview`;
  image.addEventListener("error", () => thumb.classList.add("broken"));
  thumb.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    openLightbox(picture.job_id);
  });
  return thumb;
}
