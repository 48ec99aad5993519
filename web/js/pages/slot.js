import { ApiError, get } from "../lib/api.js";
import { byId } from "../lib/dom.js";
import { nameTab, readyForAdmin } from "../lib/page.js";
import { settled } from "../lib/poll.js";
import { showTrouble } from "../lib/refusals.js";
import { Editor } from "../slot/editor.js";
import { SlotForm } from "../slot/form.js";
import { History } from "../slot/history.js";
import { showAddress, showResults, showStanding } from "../slot/side.js";
import { Trial } from "../slot/trial.js";

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
  const editor = new Editor(form, slot, (saved) => {
    showName(saved);
    history.refresh();
  });
  const history = new History(id, (restored) => editor.replace(restored));
  new Trial(byId("trial"), form, slot);
  showName(slot);
  showAddress(id, session.public_base_url);
  showResults(id);
  showStanding(id);
  history.refresh();
  byId("work").setAttribute("aria-busy", "false");
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
