import { get } from "../lib/api.js";
import { byId, el } from "../lib/dom.js";
import { keepInAddress, offerChoices } from "../lib/filter.js";
import { has, loaded, t } from "../lib/i18n.js";
import { readyForAdmin } from "../lib/page.js";
import { poll } from "../lib/poll.js";
import { showTrouble } from "../lib/refusals.js";
import { dateTime } from "../lib/time.js";
import { nameOf } from "../parts/outcome.js";

const SECONDS = 10;
const ACTIONS = ["auth.login.failure", "auth.login.success", "auth.logout", "cleanup", "preflight", "result.delete",
  "settings.change", "share.add", "share.revoke", "slot.change", "slot.restore", "template.add", "template.remove"];

readyForAdmin();
const refresh = poll({ load, show, fail: showTrouble, seconds: SECONDS });
await loaded;
offerChoices("action", ACTIONS, (action) => nameOf("action", action));
keepInAddress(byId("filters"), ask);

function ask() {
  byId("entries").setAttribute("aria-busy", "true");
  refresh();
}

async function load() {
  const place = location.search;
  return { place, ...(await get(`/api/audit${place}`)) };
}

/** An answer to what is no longer asked counts for nothing; what has not changed is left alone. */
function show({ place, entries, next_before: before }) {
  if (place !== location.search) return;
  byId("trouble").hidden = true;
  byId("entries").setAttribute("aria-busy", "false");
  byId("empty").hidden = entries.length > 0;
  showOlder(before);
  const told = JSON.stringify(entries);
  if (byId("rows").dataset.told === told) return;
  byId("rows").dataset.told = told;
  byId("rows").replaceChildren(...entries.map(row));
}

function showOlder(before) {
  const query = new URLSearchParams(location.search);
  query.set("before", before);
  byId("older").href = `?${query}`;
  byId("older").hidden = before === null;
}

function row({ at, actor, action, target, address, details }) {
  const told = Object.entries(details).map(([name, value]) => `${nameOf("detail", name)}: ${shown(value)}`);
  const cells = [dateTime(at), actor, nameOf("action", action), target, address, told.join("; ")];
  return el("tr", {}, ...cells.map((text) => el("td", {}, text)));
}

/** A detail as one line: lists with commas, fields by their names on the pages, the rest as JSON. */
function shown(value) {
  return [value].flat().map(word).join(", ") || "–";
}

function word(one) {
  if (typeof one === "boolean") return t(one ? "job.yes" : "job.no");
  if (typeof one === "object") return one === null ? t("shares.all") : JSON.stringify(one);
  const key = [`slot.${one}`, `settings.${one}`].find(has);
  return key ? t(key) : String(one);
}
