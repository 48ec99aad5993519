import { get } from "../lib/api.js";
import { byId, el } from "../lib/dom.js";
import { keepInAddress } from "../lib/filter.js";
import { loaded, t } from "../lib/i18n.js";
import { readyForAdmin } from "../lib/page.js";
import { poll } from "../lib/poll.js";
import { showTrouble } from "../lib/refusals.js";
import { showCharts } from "../statistics/charts.js";
import { showFigures, showReasons, showSlots } from "../statistics/figures.js";

const SECONDS = 10;
const WINDOWS = { 300: "5m", 3600: "1h", 10800: "3h", 86400: "1d", 604800: "7d", 2592000: "30d" };
const USUAL = "86400";

readyForAdmin();
const refresh = poll({ load, show, fail: showTrouble, seconds: SECONDS });
await loaded;
byId("window").append(...Object.entries(WINDOWS).map(([value, name]) => el("option", { value }, t(`statistics.last.${name}`))));
keepInAddress(byId("filters"), refresh, { toField: (name, value) => (name === "window" ? known(value) : value) });

function chosen() {
  const query = new URLSearchParams(location.search);
  return { seconds: known(query.get("window")), slot: query.get("slot_id") };
}

function known(seconds) {
  return seconds in WINDOWS ? seconds : USUAL;
}

async function load() {
  const asked = location.search;
  const { seconds, slot } = chosen();
  const one = slot ? `&slot_id=${encodeURIComponent(slot)}` : "";
  const [stats, { slots }] = await Promise.all([
    get(`/api/stats?window=${seconds}${one}`),
    get(`/api/stats/slots?window=${seconds}`),
  ]);
  return { stats, slots, slot, asked };
}

function show({ stats, slots, slot, asked }) {
  byId("trouble").hidden = true;
  offer(slots);
  if (asked !== location.search) return;
  const chosenOnes = slots.filter(({ id }) => !slot || id === slot);
  showFigures(stats, chosenOnes);
  byId("empty").hidden = stats.shots > 0;
  byId("charts").hidden = stats.shots === 0;
  const windows = chosenOnes.map((one) => one.sync_response_seconds);
  if (stats.shots > 0) showCharts(stats, Math.max(0, ...windows) * 1000);
  showReasons(stats);
  showSlots(chosenOnes.filter(({ shots }) => slot || shots > 0));
}

/** Once; from then on the choice is the reader's. */
function offer(slots) {
  const box = byId("slot_id");
  if (box.options.length > 0) return;
  const options = slots.map(({ id, name }) => el("option", { value: id }, `${id} · ${name}`));
  box.append(el("option", { value: "" }, t("statistics.all")), ...options);
  box.value = chosen().slot ?? "";
}
