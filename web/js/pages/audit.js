import { get } from "../lib/api.js";
import { byId, el } from "../lib/dom.js";
import { readyForAdmin } from "../lib/page.js";
import { retried } from "../lib/poll.js";
import { explain } from "../lib/refusals.js";
import { dateTime } from "../lib/time.js";
import { nameOf } from "../parts/outcome.js";

await readyForAdmin();
add(await retried(() => get("/api/audit")));
byId("older").addEventListener("click", more);

async function more() {
  byId("trouble").hidden = true;
  try {
    add(await get(`/api/audit?before=${byId("older").dataset.before}`));
  } catch (error) {
    byId("trouble").textContent = explain(error);
    byId("trouble").hidden = false;
  }
}

function add({ entries, next_before: before }) {
  byId("rows").append(...entries.map(row));
  byId("older").hidden = before === null;
  byId("older").dataset.before = before;
  byId("entries").setAttribute("aria-busy", "false");
}

function row({ at, actor, action, target, address, details }) {
  const told = Object.entries(details).map(([name, value]) => `${name}: ${shown(value)}`);
  const cells = [dateTime(at), actor, nameOf("action", action), target, address, told.join("; ")];
  return el("tr", {}, ...cells.map((text) => el("td", {}, text)));
}

/** A detail as one line: lists with commas, the rest as JSON. */
function shown(value) {
  const texts = [value].flat().map((one) => (typeof one === "object" ? JSON.stringify(one) : one));
  return texts.join(", ");
}
