import { get } from "../lib/api.js";
import { byId } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { readyForAdmin } from "../lib/page.js";
import { poll } from "../lib/poll.js";
import { explain } from "../lib/refusals.js";
import { Filters } from "../journal/filters.js";
import { makeRow } from "../journal/row.js";

const SECONDS = 5;
const PLACES = ["older_than", "newer_than"];

await readyForAdmin();
const filters = new Filters(load);
const refresh = poll({ load: ask, show, fail, seconds: SECONDS });
for (const name of ["older", "newer"]) byId(name).addEventListener("click", turnPage);

async function ask() {
  const asked = location.search;
  return { asked, ...(await get(`/api/jobs?${filters.query}`)) };
}

/** Another filter or page: what is there no longer counts. */
function load() {
  byId("shots").setAttribute("aria-busy", "true");
  refresh();
}

function turnPage({ target }) {
  const query = new URLSearchParams(location.search);
  for (const place of PLACES) query.delete(place);
  query.set(`${target.id}_than`, target.dataset.place);
  history.pushState(null, "", `?${query}`);
  load();
  byId("main").focus();
}

/** An answer to what is no longer asked counts for nothing. */
function show({ asked, jobs, older, newer }) {
  if (asked !== location.search) return;
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
  const shown = JSON.stringify(jobs);
  byId("shots").setAttribute("aria-busy", "false");
  if (box.dataset.shown === shown) return;
  box.dataset.shown = shown;
  const focused = document.activeElement?.closest("#rows a")?.href;
  box.replaceChildren(...jobs.map(makeRow));
  if (focused) box.querySelector(`a[href="${new URL(focused).pathname}"]`)?.focus();
}

function showPlace(name, place) {
  byId(name).hidden = place === null;
  byId(name).dataset.place = place ?? "";
}

function csvQuery() {
  const query = filters.query;
  for (const place of PLACES) query.delete(place);
  query.set("format", "csv");
  return query;
}

function fail(error) {
  byId("trouble").textContent = explain(error);
  byId("trouble").hidden = false;
}
