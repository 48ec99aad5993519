import { t } from "../lib/i18n.js";
import { toast } from "../lib/toast.js";
import { same } from "../parts/diff.js";
import { FormEditor } from "../parts/editing.js";

/** Saves the form of a slot, and keeps what was typed over a reload. */
export class SlotEditor extends FormEditor {
  #draft;

  constructor(form, slot, onSaved) {
    super(form, { address: `/api/slots/${slot.id}`, onSaved });
    this.#draft = new Draft(slot.id);
    this.#begin(slot, this.#draft.read());
  }

  #begin(slot, draft) {
    if (!draft || same(draft.fields, this.form.normal(slot))) return this.show(slot);
    this.saved = { ...slot, version: draft.version };
    this.form.show({ ...slot, ...draft.fields });
    this.changed();
    if (draft.version !== slot.version) return this.showConflict(slot);
    toast(t("slot.draft_is_back"), "warn");
  }

  changed() {
    if (super.changed()) this.#draft.keep(this.saved.version, this.change());
    else this.#draft.forget();
  }

  isChanged() {
    return !same(this.change(), this.form.normal(this.saved));
  }

  change() {
    return this.form.read();
  }

  sides(theirs) {
    const { updated_by: who, version } = theirs;
    return { text: t("slot.conflict.text", { who, version }), saved: this.form.normal(theirs), typed: this.change() };
  }

  stateText() {
    return t("slot.version", { version: this.saved.version });
  }

  savedText() {
    return t("slot.saved", { version: this.saved.version });
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
