import { byId, el } from "../lib/dom.js";
import { t } from "../lib/i18n.js";

/** Puts the picture into its place, once; `gone` is called when it can no longer be fetched. */
export function showPicture(job, jobId, gone) {
  if (byId("picture")) return;
  const path = `/public/results/${jobId}`;
  const size = { width: job.result_width, height: job.result_height };
  const picture = el("img", { id: "picture", alt: t("result.alt"), src: path, ...size });
  picture.addEventListener("error", gone);
  byId("frame").replaceChildren(picture);
  byId("download").href = `${path}?download=1`;
}
