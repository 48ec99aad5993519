import { get, put } from "../lib/api.js";
import { byId } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { clearProblems } from "../lib/problems.js";
import { toast } from "../lib/toast.js";
import { same } from "../parts/diff.js";
import { hideConflict, showConflict, wire } from "../parts/editing.js";

/** Saves the form of a slot; guards what was typed against leaving, reloading and other admins. */
export class Editor {
  #form;
  #saved;
  #draft;
  #onSaved;
  #update;

  constructor(form, slot, onSaved) {
    this.#form = form;
    this.#draft = new Draft(slot.id);
    this.#onSaved = onSaved;
    this.#update = wire(form.node, {
      changed: () => this.#changed(),
      save: () => this.#save(),
      discard: () => this.#show(this.#saved),
      isChanged: () => this.#isChanged(),
    });
    this.#begin(slot, this.#draft.read());
  }

  /** The form shows another state of the slot, as after a restore. */
  replace(slot) {
    this.#show(slot);
    this.#onSaved(slot);
  }

  #begin(slot, draft) {
    this.#saved = { ...slot, version: draft?.version ?? slot.version };
    if (!draft || same(draft.fields, this.#form.normal(slot))) return this.#show(slot);
    this.#form.show({ ...slot, ...draft.fields });
    this.#changed();
    if (draft.version !== slot.version) return this.#conflict(slot);
    toast(t("slot.draft_is_back"), "warn");
  }

  #show(slot) {
    this.#saved = slot;
    this.#form.show(slot);
    byId("trouble").hidden = true;
    hideConflict();
    clearProblems(this.#form.node);
    this.#changed();
  }

  #isChanged() {
    return !same(this.#form.read(), this.#form.normal(this.#saved));
  }

  #changed() {
    const isChanged = this.#update();
    const { version } = this.#saved;
    byId("state").textContent = isChanged ? t("slot.unsaved") : t("slot.version", { version });
    if (isChanged) this.#draft.keep(version, this.#form.read());
    else this.#draft.forget();
  }

  async #save() {
    const saved = await this.#send();
    if (saved) this.#accept(saved);
  }

  /** The saved slot, or null when somebody else was faster: then both sides are shown. */
  async #send() {
    const { id, version } = this.#saved;
    const path = `/api/slots/${id}`;
    try {
      return await put(path, { version, ...this.#form.read() });
    } catch (error) {
      if (error.reason !== "version_conflict") throw error;
      this.#conflict(await get(path));
      return null;
    }
  }

  /** The form stays as it is, with the focus and what was typed while the answer was under way. */
  #accept(slot) {
    this.#saved = slot;
    this.#form.forgetPassword();
    clearProblems(this.#form.node);
    hideConflict();
    this.#onSaved(slot);
    toast(t("slot.saved", { version: slot.version }));
  }

  #conflict(theirs) {
    const { updated_by: who, version } = theirs;
    showConflict({
      text: t("slot.conflict.text", { who, version }),
      saved: this.#form.normal(theirs),
      typed: this.#form.read(),
      take: () => this.replace(theirs),
      keep: () => this.#keep(theirs),
    });
  }

  /** What was typed goes over what somebody else saved, at the next save. */
  #keep(theirs) {
    this.#saved = theirs;
    this.#changed();
  }
}

/** What was typed and not saved, kept in this tab. The password is never among it. */
class Draft {
  #key;

  constructor(id) {
    this.#key = `slot:${id}`;
  }

  read() {
    return JSON.parse(sessionStorage.getItem(this.#key));
  }

  keep(version, { ingest_password: _never, ...fields }) {
    sessionStorage.setItem(this.#key, JSON.stringify({ version, fields }));
  }

  forget() {
    sessionStorage.removeItem(this.#key);
  }
}
