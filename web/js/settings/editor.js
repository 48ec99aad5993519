import { get, put } from "../lib/api.js";
import { confirmed } from "../lib/confirm.js";
import { byId } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { clearProblems } from "../lib/problems.js";
import { retried } from "../lib/poll.js";
import { toast } from "../lib/toast.js";
import { same } from "../parts/diff.js";
import { hideConflict, showConflict, wire } from "../parts/editing.js";

/** Saves the settings of the service, after a question where every camera would notice. */
export class SettingsEditor {
  #form;
  #saved;
  #onSaved;
  #update;

  constructor(form, settings, onSaved) {
    this.#form = form;
    this.#onSaved = onSaved;
    this.#update = wire(form.node, {
      changed: () => this.#changed(),
      save: () => this.#save(),
      discard: () => this.#show(this.#saved),
      isChanged: () => this.#isChanged(),
    });
    this.#show(settings);
  }

  #show(settings) {
    this.#saved = settings;
    this.#form.show(settings);
    clearProblems(this.#form.node);
    byId("trouble").hidden = true;
    hideConflict();
    this.#changed();
    this.#onSaved(settings);
  }

  /** Only what was touched: another admin's changes of other fields stay. */
  #change() {
    const before = this.#form.normal(this.#saved);
    return Object.fromEntries(Object.entries(this.#form.read()).filter(([name, value]) => !same(value, before[name])));
  }

  #isChanged() {
    return Object.keys(this.#change()).length > 0;
  }

  #changed() {
    byId("state").textContent = this.#update() ? t("slot.unsaved") : "";
  }

  async #save() {
    const change = this.#change();
    if (change.ingest_password && !(await isMeant())) return;
    const saved = await this.#send(change);
    if (saved) this.#accept(saved, change);
  }

  /** The saved settings, or null when somebody else was faster: then both sides are shown. */
  async #send(change) {
    try {
      return await put("/api/settings", { version: this.#saved.version, ...change });
    } catch (error) {
      if (error.reason !== "version_conflict") throw error;
      this.#conflict(await retried(() => get("/api/settings")));
      return null;
    }
  }

  /** The form stays as it is, with the focus and what was typed while the answer was under way. */
  #accept(settings, change) {
    this.#saved = settings;
    this.#form.forget(change);
    this.#form.showKeys(settings);
    clearProblems(this.#form.node);
    hideConflict();
    this.#onSaved(settings);
    toast(t("settings.saved"));
  }

  #conflict(theirs) {
    const mine = this.#change();
    const { ingest_password: _password, provider_keys: _keys, ...shown } = mine;
    const normal = this.#form.normal(theirs);
    showConflict({
      text: t("settings.conflict_text"),
      saved: normal,
      typed: { ...normal, ...shown },
      take: () => this.#show(theirs),
      keep: () => this.#keep(theirs, { ...normal, ...mine }),
    });
  }

  /** What was typed goes over what somebody else saved, at the next save; the rest is theirs. */
  #keep(theirs, fields) {
    this.#saved = theirs;
    this.#form.fill(fields);
    this.#changed();
  }
}

function isMeant() {
  return confirmed({
    title: t("settings.password_title"),
    text: t("settings.password_text"),
    action: t("slot.save"),
  });
}
