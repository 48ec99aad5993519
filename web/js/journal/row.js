import { clone, part, write } from "../lib/dom.js";
import { number, seconds } from "../lib/figures.js";
import { t } from "../lib/i18n.js";
import { ago, dateTime } from "../lib/time.js";
import { nameOf, showOutcome } from "../parts/outcome.js";

// Older pictures may be gone, and asking for each in vain costs more than it shows.
const KEPT_MS = 72 * 3_600_000;

/** The row of a shot. */
export function makeRow(job) {
  const row = clone("row").querySelector("tr");
  part(row, "time").href = `/journal/${job.id}`;
  part(row, "slot").href = `/slots/${job.slot_id}`;
  write(row, {
    time: dateTime(job.created_at),
    ago: ago(job.created_at),
    slot: job.slot_id,
    source: job.source === "test" ? t("source.test") : "",
    provider: `${nameOf("provider", job.provider)} · ${nameOf("operation", job.operation)}`,
    attempts: number(job.attempt_count),
    duration: seconds(job.total_ms),
  });
  showOutcome(row, job);
  showPicture(part(row, "picture"), job);
  return row;
}

function showPicture(image, { id, status, stored, finished_at: finished }) {
  image.hidden = status !== "done" || !stored || Date.parse(finished) + KEPT_MS < Date.now();
  image.addEventListener("error", () => (image.hidden = true));
  if (!image.hidden) image.src = `/public/results/${id}/preview`;
}
