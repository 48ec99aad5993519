import { byId } from "../lib/dom.js";
import { readyForAdmin } from "../lib/page.js";
import { poll } from "../lib/poll.js";
import { showTrouble } from "../lib/refusals.js";
import { loadSlots } from "../parts/health.js";
import { showCards, showSkeletons, summarise } from "../slots/cards.js";

const SECONDS = 4;

const session = readyForAdmin();
showSkeletons();
const refresh = poll({ load, show, fail: showTrouble, seconds: SECONDS });

function load() {
  return Promise.all([loadSlots(), session]);
}

function show([slots, { public_base_url: base }]) {
  byId("trouble").hidden = true;
  showCards(slots, base, refresh);
  summarise(slots);
}
