import { get } from "../lib/api.js";
import { byId, clone, part } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { poll } from "../lib/poll.js";
import { ago } from "../lib/time.js";

const LAST = 6;
const SECONDS = 5;

/** The slot's last pictures, kept fresh. */
export function showResults(id) {
  const load = () => get(`/api/jobs?slot_id=${id}&status=done&source=device&limit=${LAST}`);
  poll({ load, show, fail: () => {}, seconds: SECONDS });
}

function show({ jobs }) {
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
