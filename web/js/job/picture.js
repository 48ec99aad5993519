import { byId } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { dateTime } from "../lib/time.js";
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
  image.src = `/public/results/${id}`;
  byId("picture-link").href = image.src;
  byId("no-picture").hidden = false;
  byId("no-picture").textContent = t("job.kept_until", { time: dateTime(job.result_expires_at) });
}

function showGuest(id, address) {
  byId("qr").src = `/public/results/${id}/qr`;
  byId("qr").alt = t("job.qr");
  byId("page").href = address;
  copyOnClick(byId("copy-page"), address, t("job.copy_page"));
}

const isOver = (job) => job.result_cleaned_at || new Date(job.result_expires_at) <= Date.now();

function why(job) {
  if (job.status === "pending") return t("job.not_yet");
  if (job.status !== "done") return t("job.none");
  return t(job.stored ? "job.gone" : "job.not_stored");
}
