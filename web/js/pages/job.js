import { ApiError, get, signInAgain } from "../lib/api.js";
import { byId, pair } from "../lib/dom.js";
import { bytes, dollars, number } from "../lib/figures.js";
import { t } from "../lib/i18n.js";
import { readyForAdmin } from "../lib/page.js";
import { settled } from "../lib/poll.js";
import { showTrouble } from "../lib/refusals.js";
import { dateTime } from "../lib/time.js";
import { showAttempts } from "../job/attempts.js";
import { showLine } from "../job/line.js";
import { showPicture } from "../job/picture.js";
import { nameOf, showOutcome } from "../parts/outcome.js";

const PAUSE_MS = 1500;
// One that is over changes too: its picture expires or is deleted.
const REST_MS = 20_000;
const id = decodeURIComponent(location.pathname.split("/")[2]);

const asked = load();
await readyForAdmin();
await tell(await asked);

function load() {
  return settled(() => get(`/api/jobs/${encodeURIComponent(id)}`), showTrouble);
}

async function tell(job) {
  if (job instanceof ApiError) return fail(job);
  // What everybody is told of a job.
  if (!job.attempts) return signInAgain();
  byId("trouble").hidden = true;
  show(job);
  setTimeout(async () => tell(await load()), job.status === "pending" ? PAUSE_MS : REST_MS);
}

/** Only the picture is looked at anew when nothing has changed: a selection and the focus stay. */
function show(job) {
  showPicture(id, job);
  const told = JSON.stringify(job);
  if (byId("story").dataset.told === told) return;
  byId("story").dataset.told = told;
  byId("id").textContent = id;
  showOutcome(byId("story"), job);
  byId("details").textContent = job.failure_details ?? "";
  byId("details").hidden = !job.failure_details;
  showLine(job);
  showAttempts(job.attempts);
  byId("facts").replaceChildren(...pairs(facts(job)));
  byId("device").replaceChildren(...pairs(Object.entries(job.device)));
  byId("story").setAttribute("aria-busy", "false");
}

function facts(job) {
  return [
    [t("journal.time"), dateTime(job.created_at)],
    [t("journal.slot"), `${job.slot_id}, ${t("slot.version", { version: job.slot_version }).toLowerCase()}`],
    [t("journal.source"), t(`source.${job.source}`)],
    [t("journal.provider"), `${nameOf("provider", job.provider)} · ${nameOf("operation", job.operation)}`],
    [t("job.address"), job.client_address],
    [t("job.photo"), photo(job)],
    [t("job.delivered"), job.delivered === null ? "–" : t(job.delivered ? "job.yes" : "job.no")],
    [t("job.tokens"), job.tokens === null ? "–" : number(job.tokens)],
    [t("job.cost"), job.cost_microusd === null ? "–" : dollars(job.cost_microusd / 1e6)],
  ];
}

function photo({ source_mime: mime, source_bytes: size, source_width: width, source_height: height }) {
  return [mime, width && `${width} × ${height}`, size && bytes(size)].filter(Boolean).join(", ") || "–";
}

function pairs(entries) {
  return entries.map(([name, value]) => pair(name, value));
}

function fail(error) {
  byId("story").hidden = true;
  byId("story").setAttribute("aria-busy", "false");
  showTrouble(error);
}
