import { ApiError } from "../lib/api.js";
import { byId } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { ready } from "../lib/page.js";
import { poll } from "../lib/poll.js";
import { codePath, look, slotId } from "../gallery/link.js";
import { keepAwake } from "../show/awake.js";
import { offerControls } from "../show/controls.js";
import { Reel } from "../show/reel.js";
import { clearStage, putOnStage } from "../show/stage.js";

const SECONDS = 8;
const SLIDE_SECONDS = 7;
const LIMIT = slotId ? 50 : 10;

const reel = new Reel();
let isPaused = false;
let timer;

const isReady = ready();
poll({ load: () => look(LIMIT), show, fail, seconds: SECONDS });
await isReady;
keepAwake();
offerControls({ turn, pause: (paused) => ((isPaused = paused), wait()) });

/** What has come in is shown at once, unless somebody holds the show. */
function show(slots) {
  const hasArrived = reel.keep(slots.flatMap((slot) => slot.pictures));
  byId("code").hidden = false;
  if (!byId("code").firstElementChild.src) byId("code").firstElementChild.src = codePath;
  say(reel.isEmpty ? "empty" : null);
  if (reel.isEmpty) clearStage();
  else if (!reel.holdsShown || (hasArrived && !isPaused)) turn(1);
}

async function turn(step) {
  clearTimeout(timer);
  const picture = reel.turn(step);
  if (picture) await putOnStage(picture);
  wait();
}

function wait() {
  clearTimeout(timer);
  if (!isPaused) timer = setTimeout(() => turn(1), SLIDE_SECONDS * 1000);
}

/** A passing fault is the corner's business; a link that ended ends the show. */
function fail(error) {
  if (!(error instanceof ApiError && error.isFinal)) return;
  reel.keep([]);
  clearStage();
  byId("code").hidden = true;
  say("ended");
}

function say(what) {
  byId("slides").setAttribute("aria-busy", "false");
  byId("waiting").hidden = what === null;
  byId("waiting").dataset.what = what;
  if (what === null) return;
  byId("waiting-title").textContent = t(`show.${what}_title`);
  byId("waiting-advice").textContent = t(`show.${what}_advice`);
}
