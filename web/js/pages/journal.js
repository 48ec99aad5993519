import { get } from "../lib/api.js";
import { byId } from "../lib/dom.js";
import { loaded, t } from "../lib/i18n.js";
import { readyForAdmin } from "../lib/page.js";
import { poll } from "../lib/poll.js";
import { showTrouble } from "../lib/refusals.js";
import { asked, offerFilters } from "../journal/filters.js";
import { makeRow } from "../journal/row.js";

const SECONDS = 5;
const PLACES = ["older_than", "newer_than"];

let known = null;

readyForAdmin();
const refresh = poll({ load: ask, show, fail: showTrouble, seconds: SECONDS });
await loaded;
offerFilters(load);

async function ask() {
  const place = location.search;
  return { place, ...(await get(`/api/jobs?${asked()}`)) };
}

/** Another filter: what is there no longer counts. */
function load() {
  byId("shots").setAttribute("aria-busy", "true");
  known = null;
  refresh();
}

/** An answer to what is no longer asked counts for nothing. */
function show({ place, jobs, older, newer }) {
  if (place !== location.search) return;
  byId("trouble").hidden = true;
  showRows(jobs);
  showPlace("older", older);
  showPlace("newer", newer);
  byId("empty").hidden = jobs.length > 0;
  byId("empty").textContent = t(location.search.length > 1 ? "journal.none_found" : "journal.none");
  byId("csv").href = `/api/jobs?${csvQuery()}`;
}

/** Only when something changed, so that a selection and the focus stay. */
function showRows(jobs) {
  const box = byId("rows");
  announce(jobs);
  const shown = JSON.stringify(jobs);
  byId("shots").setAttribute("aria-busy", "false");
  if (box.dataset.shown === shown) return;
  box.dataset.shown = shown;
  const focused = document.activeElement?.closest("#rows a")?.href;
  box.replaceChildren(...jobs.map(makeRow));
  if (focused) box.querySelector(`a[href="${new URL(focused).pathname}"]`)?.focus();
}

/** Says how many shots have come since the page was last looked at: rows alone are silent. */
function announce(jobs) {
  const count = known ? jobs.filter(({ id }) => !known.has(id)).length : 0;
  known = new Set(jobs.map(({ id }) => id));
  if (count > 0) byId("fresh").textContent = t("journal.fresh", { count });
}

function showPlace(name, place) {
  const query = withoutPlace();
  query.set(`${name}_than`, place);
  byId(name).href = `?${query}`;
  byId(name).hidden = place === null;
}

function csvQuery() {
  const query = withoutPlace();
  query.set("format", "csv");
  return query;
}

function withoutPlace() {
  const query = asked();
  for (const place of PLACES) query.delete(place);
  return query;
}
