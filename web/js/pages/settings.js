import { get } from "../lib/api.js";
import { byId } from "../lib/dom.js";
import { readyForAdmin } from "../lib/page.js";
import { poll, retried } from "../lib/poll.js";
import { showTrouble } from "../lib/refusals.js";
import { showChanges } from "../settings/changes.js";
import { SettingsEditor } from "../settings/editor.js";
import { SettingsForm } from "../settings/form.js";
import { missModels, showModels } from "../settings/standing.js";
import { showStorage } from "../settings/storage.js";

const SECONDS = 10;

const asked = retried(() => get("/api/settings"), showTrouble);
await readyForAdmin();
const settings = await asked;
byId("trouble").hidden = true;
const refresh = poll({
  load: () => get("/api/providers"),
  show: ({ providers }) => showModels(providers),
  fail: missModels,
  seconds: SECONDS,
});
new SettingsEditor(new SettingsForm(settings), settings, ({ changes }) => {
  showChanges(changes);
  refresh();
});
retried(showStorage);
