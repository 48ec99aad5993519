import { ApiError } from "../lib/api.js";
import { byId } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { settled } from "../lib/poll.js";
import { dateTime } from "../lib/time.js";
import { drawnCode } from "../parts/code.js";
import { copyOnClick } from "../parts/copy.js";

/** The picture while it is kept, with the guest's page; else why there is none. */
export function showPicture(id, job) {
  const isThere = job.status === "done" && job.stored && !isOver(job);
  byId("picture-link").hidden = !isThere;
  byId("no-picture").hidden = isThere;
  byId("no-picture").textContent = why(job);
  byId("guest").hidden = !job.page_url;
  if (isThere) showImage(id, job);
  if (job.page_url) showGuest(id, job.page_url);
}

function showImage(id, job) {
  const image = byId("picture");
  Object.assign(image, { width: job.result_width, height: job.result_height, alt: t("job.picture") });
  const path = `/public/results/${id}`;
  if (!image.src) image.src = byId("picture-link").href = path;
  byId("no-picture").hidden = false;
  byId("no-picture").textContent = t("job.kept_until", { time: dateTime(job.result_expires_at) });
}

/** The guest's own link, in all three ways with the key that deletes the picture. Once: it never
 * changes. */
async function showGuest(id, address) {
  if (byId("page").href === address) return;
  byId("page").href = address;
  copyOnClick(byId("copy-page"), address);
  byId("qr").alt = t("job.qr");
  const code = await settled(() => drawnCode(id, new URL(address).hash.slice(1)));
  byId("qr").hidden = code instanceof ApiError;
  if (!byId("qr").hidden) byId("qr").src = code;
}

const isOver = (job) => job.result_cleaned_at || new Date(job.result_expires_at) <= Date.now();

function why(job) {
  if (job.status === "pending") return t("job.not_yet");
  if (job.status !== "done") return t("job.none");
  return t(job.stored ? "job.gone" : "job.not_stored");
}
