import { ApiError } from "../lib/api.js";
import { arrange } from "../lib/arrange.js";
import { byId } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { nameTab, ready } from "../lib/page.js";
import { poll } from "../lib/poll.js";
import { showTrouble } from "../lib/refusals.js";
import { look, pageOf, slotId } from "../gallery/link.js";
import { keepLightbox } from "../gallery/lightbox.js";
import { sectionOf } from "../gallery/sheet.js";

// Guests share the address of their Wi-Fi, and its patience.
const SECONDS = 30;
const LIMIT = slotId ? 50 : 10;

ready();
byId("show").href = pageOf("/show", slotId);
poll({ load: () => look(LIMIT), show, fail, seconds: SECONDS });

function show(slots) {
  const filled = slots.filter((slot) => slot.pictures.length > 0);
  const pictures = filled.flatMap((slot) => slot.pictures);
  arrange(byId("slots"), filled.map((slot) => sectionOf(slot, slotId === null)));
  byId("slots").setAttribute("aria-busy", "false");
  keepLightbox(pictures);
  name(slotId ? slots[0].name : t("gallery.all"));
  byId("count").textContent = pictures.length ? t("gallery.count", { count: pictures.length }) : "";
  byId("show").hidden = false;
  byId("trouble").hidden = true;
  say(pictures.length ? null : "empty");
}

function name(text) {
  byId("name").textContent = text;
  nameTab(text);
}

/** A page without pictures says why. */
function say(what) {
  byId("nothing").hidden = what === null;
  if (what === null) return;
  byId("nothing-title").textContent = t(`gallery.${what}_title`);
  byId("nothing-advice").textContent = t(`gallery.${what}_advice`);
}

function fail(error) {
  if (error instanceof ApiError && error.isFinal) return end();
  showTrouble(error);
}

/** The link does not open this gallery any more: nothing of it may stay on the screen. */
function end() {
  byId("slots").replaceChildren();
  byId("slots").setAttribute("aria-busy", "false");
  keepLightbox([]);
  name(t("gallery.title"));
  byId("count").textContent = "";
  for (const id of ["show", "trouble"]) byId(id).hidden = true;
  say("ended");
}
