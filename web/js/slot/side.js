import { get } from "../lib/api.js";
import { byId, clone, part, write } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { poll } from "../lib/poll.js";
import { ago } from "../lib/time.js";
import { copyOnClick } from "../parts/copy.js";
import { loadSlot } from "../parts/health.js";

const SECONDS = 5;
const LAST = 6;

/** Where cameras send to, as a link and as a line for a terminal. Nobody knows the password here. */
export function showAddress(id, base) {
  const link = `${base}/api/ingest/${id}`;
  const password = t("slot.send.password");
  const curl = `curl -sS -F password=${password} -F fileToUpload=@photo.jpg ${link} -o edited.jpg`;
  byId("link").textContent = link;
  byId("curl").textContent = curl;
  copyOnClick(byId("copy-link"), link);
  copyOnClick(byId("copy-curl"), curl);
}

/** The slot's light, as on the page of all slots. */
export function showStanding(id) {
  poll({ load: () => loadSlot(id), show: showLight, fail: () => {}, seconds: SECONDS });
}

function showLight({ health }) {
  const node = byId("standing");
  node.dataset.status = health.status;
  part(node, "light").dataset.icon = health.status;
  write(node, { reason: health.reason });
}

/** The slot's last pictures, kept fresh. */
export function showResults(id) {
  const load = () => get(`/api/jobs?slot_id=${id}&status=done&source=device&limit=${LAST}`);
  poll({ load, show: showPictures, fail: () => {}, seconds: SECONDS });
}

function showPictures({ jobs }) {
  const box = byId("results");
  const shown = jobs.map((job) => job.id).join();
  byId("no-results").hidden = jobs.length > 0;
  if (box.dataset.shown === shown) return;
  box.dataset.shown = shown;
  box.replaceChildren(...jobs.map(entry));
}

function entry(job) {
  const node = clone("result");
  const picture = part(node, "picture");
  picture.src = `/public/results/${job.id}/preview`;
  picture.alt = t("slot.result_of", { ago: ago(job.created_at) });
  picture.addEventListener("error", () => (picture.hidden = true));
  part(node, "link").href = `/journal/${job.id}`;
  part(node, "when").textContent = ago(job.created_at);
  return node;
}
