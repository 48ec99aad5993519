import { ApiError, get } from "../lib/api.js";
import { byId } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { ready } from "../lib/page.js";
import { poll } from "../lib/poll.js";
import { explain } from "../lib/refusals.js";
import { ago, dateAndMinute } from "../lib/time.js";
import { offerCode } from "../result/code.js";
import { offerDeletion } from "../result/deletion.js";
import { takeKey } from "../result/key.js";
import { showPicture } from "../result/picture.js";
import { offerSharing } from "../result/sharing.js";
import { UNKNOWN, stateOf } from "../result/state.js";

// Somebody may delete the picture while others look at it.
const SECONDS = 20;

const jobId = location.pathname.split("/").at(-1);
const key = takeKey(jobId);
let job = null;

const isReady = ready();
const reload = poll({ load, show, fail, seconds: SECONDS });
await isReady;
offerSharing(jobId);
offerCode(jobId, key);
offerDeletion(jobId, key, reload);
// What expires is gone on its second, and "in 5 minutes" stays true.
setInterval(() => job && show(job), 1000);

async function load() {
  try {
    return await get(`/api/jobs/${encodeURIComponent(jobId)}`);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return UNKNOWN;
    throw error;
  }
}

function show(found) {
  job = found;
  const state = stateOf(job);
  byId("problem").hidden = true;
  byId("result").dataset.state = state;
  byId("result").setAttribute("aria-busy", "false");
  say("headline", t(`result.headline_${state}`));
  say("advice", t(`result.advice_${state}`, { until: until(job.expires_at) }));
  if (state === "shown") showPicture(job, jobId, reload);
}

function say(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}

function until(moment) {
  return moment && `${dateAndMinute(moment)} (${ago(moment)})`;
}

function fail(error) {
  byId("problem").textContent = explain(error);
  byId("problem").hidden = job !== null;
}
