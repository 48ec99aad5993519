import { get } from "../lib/api.js";
import { byId } from "../lib/dom.js";
import { readyForAdmin } from "../lib/page.js";
import { poll } from "../lib/poll.js";
import { explain } from "../lib/refusals.js";
import { showCards, showSkeletons } from "../slots/cards.js";
import { healthOf } from "../slots/health.js";
import { summarise } from "../slots/summary.js";

const SECONDS = 4;
const WINDOW_SECONDS = 3600;

const session = readyForAdmin();
showSkeletons();
const { public_base_url: base } = await session;
const refresh = poll({ load, show, fail, seconds: SECONDS });

async function load() {
  const [{ slots }, figures, { providers }] = await Promise.all([
    get("/api/slots"),
    get(`/api/stats/slots?window=${WINDOW_SECONDS}`),
    get("/api/providers"),
  ]);
  const now = new Map(figures.slots.map((slot) => [slot.id, slot]));
  const configured = new Set(providers.filter((one) => one.configured).map((one) => one.name));
  return slots
    .map((slot) => ({ ...slot, ...now.get(slot.id), own_window: slot.sync_response_seconds }))
    .map((slot) => ({ ...slot, health: healthOf(slot, configured.has(slot.provider)) }));
}

function show(slots) {
  byId("trouble").hidden = true;
  showCards(slots, base, refresh);
  summarise(slots);
}

function fail(error) {
  byId("trouble").textContent = explain(error);
  byId("trouble").hidden = false;
}
