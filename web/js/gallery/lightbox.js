import { byId } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { dateAndMinute } from "../lib/time.js";
import { onSwipe } from "../parts/swipe.js";

const KEYS = { ArrowLeft: -1, ArrowRight: 1 };

let pictures = [];
let shown = null;

const dialog = byId("lightbox");
const placeOf = (jobId) => pictures.findIndex((picture) => picture.job_id === jobId);

byId("close").addEventListener("click", () => dialog.close());
byId("back").addEventListener("click", () => turn(-1));
byId("on").addEventListener("click", () => turn(1));
dialog.addEventListener("keydown", (event) => event.key in KEYS && turn(KEYS[event.key]));
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
dialog.addEventListener("close", () => byId("large").removeAttribute("src"));
onSwipe(dialog, turn);

export function openLightbox(jobId) {
  shown = null;
  show(placeOf(jobId));
  dialog.showModal();
}

/** The pictures there are now. The one that is looked at stays, or gives way to its neighbour. */
export function keepLightbox(found) {
  const place = placeOf(shown);
  pictures = found;
  if (!dialog.open) return;
  if (pictures.length === 0) dialog.close();
  else show(placeOf(shown) < 0 ? Math.min(place, pictures.length - 1) : placeOf(shown));
}

function turn(step) {
  const place = placeOf(shown) + step;
  if (place >= 0 && place < pictures.length) show(place);
}

function show(place) {
  const picture = pictures[place];
  byId("place").textContent = t("gallery.place", { place: place + 1, count: pictures.length });
  byId("back").disabled = place === 0;
  byId("on").disabled = place === pictures.length - 1;
  if (picture.job_id === shown) return;
  shown = picture.job_id;
  const path = `/public/results/${shown}`;
  byId("large").width = picture.width;
  byId("large").height = picture.height;
  byId("large").alt = t("gallery.picture", { at: dateAndMinute(picture.finished_at) });
  byId("large").src = path;
  byId("open").href = `/r/${shown}`;
  byId("download").href = `${path}?download=1`;
  for (const near of [place - 1, place + 1]) fetchAhead(pictures[near]);
}

function fetchAhead(picture) {
  if (picture) new Image().src = `/public/results/${picture.job_id}`;
}
