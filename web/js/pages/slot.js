import { ApiError, get } from "../lib/api.js";
import { byId } from "../lib/dom.js";
import { nameTab, readyForAdmin } from "../lib/page.js";
import { retried, settled } from "../lib/poll.js";
import { showTrouble } from "../lib/refusals.js";
import { SlotEditor } from "../slot/editor.js";
import { SlotForm } from "../slot/form.js";

const id = decodeURIComponent(location.pathname.split("/")[2]);
byId("name").textContent = id;
const asked = settled(load, showTrouble);
const session = await readyForAdmin();
const found = await asked;
if (found instanceof ApiError) fail(found);
else show(...found);

function load() {
  return Promise.all([get(`/api/slots/${encodeURIComponent(id)}`), get("/api/providers")]);
}

function show(slot, { providers }) {
  byId("trouble").hidden = true;
  const form = new SlotForm(providers);
  const editor = new SlotEditor(form, slot, async (saved) => {
    showName(saved);
    (await history).refresh();
  });
  showName(slot);
  byId("work").setAttribute("aria-busy", "false");
  const history = showBeside(form, editor, slot);
}

/** The form comes first: what stands beside it is half of the page's scripts. Gives the
 * history, which a save makes longer. */
async function showBeside(form, editor, slot) {
  const scripts = () => Promise.all([import("../slot/test-shot.js"), import("../slot/history.js"), import("../slot/side.js")]);
  const [{ TestShot }, { History }, side] = await retried(scripts);
  const history = new History(id, (restored) => editor.replace(restored));
  new TestShot(byId("test-shot"), form, slot);
  side.showAddress(id, session.public_base_url);
  side.showResults(id);
  side.showStanding(id);
  history.refresh();
  return history;
}

function showName({ name }) {
  byId("name").textContent = name;
  byId("id").textContent = id;
  nameTab(name);
}

function fail(error) {
  byId("work").hidden = true;
  byId("work").setAttribute("aria-busy", "false");
  byId("save").hidden = byId("discard").hidden = byId("standing").hidden = true;
  showTrouble(error);
}
