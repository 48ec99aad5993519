import { ApiError, get, put } from "../lib/api.js";
import { byId, part, write } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { clearProblem, clearProblems, showProblems } from "../lib/problems.js";
import { explain } from "../lib/refusals.js";
import { toast } from "../lib/toast.js";
import { same, showDifferences } from "./diff.js";
import { Draft } from "./draft.js";

/** Saves the form of a slot; guards what was typed against leaving, reloading and other admins. */
export class Editor {
  #form;
  #saved;
  #draft;
  #onSaved;

  constructor(form, slot, onSaved) {
    this.#form = form;
    this.#draft = new Draft(slot.id);
    this.#onSaved = onSaved;
    this.#listen();
    this.#begin(slot, this.#draft.read());
  }

  get saved() {
    return this.#saved;
  }

  /** The form shows another state of the slot, as after a restore. */
  replace(slot) {
    this.#show(slot);
    this.#onSaved(slot);
  }

  #begin(slot, draft) {
    this.#saved = slot;
    if (!draft || same(draft.fields, this.#form.normal(slot))) return this.#show(slot);
    this.#form.show({ ...slot, ...draft.fields });
    if (draft.version !== slot.version) return this.#conflict(slot);
    this.#changed();
    toast(t("slot.draft_is_back"), "warn");
  }

  #show(slot) {
    this.#saved = slot;
    this.#form.show(slot);
    byId("conflict").hidden = byId("trouble").hidden = true;
    clearProblems(this.#form.node);
    this.#changed();
  }

  #listen() {
    const { node } = this.#form;
    for (const kind of ["input", "change"]) {
      node.addEventListener(kind, (event) => {
        if (event.target.name) clearProblem(event.target);
        this.#changed();
      });
    }
    node.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
    byId("discard").addEventListener("click", () => this.#show(this.#saved));
    addEventListener("beforeunload", (event) => this.#isChanged() && event.preventDefault());
    addEventListener("keydown", (event) => {
      if (event.key !== "s" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      if (this.#isChanged()) this.#save();
    });
  }

  #isChanged() {
    return !same(this.#form.read(), this.#form.normal(this.#saved));
  }

  #changed() {
    const isChanged = this.#isChanged();
    byId("save").disabled = byId("discard").disabled = !isChanged;
    const { version } = this.#saved;
    byId("state").textContent = isChanged ? t("slot.unsaved") : t("slot.version", { version });
    if (isChanged) this.#draft.keep(version, this.#form.read());
    else this.#draft.forget();
  }

  async #save() {
    byId("save").disabled = true;
    byId("trouble").hidden = true;
    const { id, version } = this.#saved;
    try {
      const slot = await put(`/api/slots/${id}`, { version, ...this.#form.read() });
      this.replace(slot);
      toast(t("slot.saved", { version: slot.version }));
    } catch (error) {
      this.#changed();
      await this.#refused(error);
    }
  }

  async #refused(error) {
    if (!(error instanceof ApiError)) return this.#complain(explain(error));
    if (error.reason === "version_conflict") {
      return this.#conflict(await get(`/api/slots/${this.#saved.id}`));
    }
    const homeless = showProblems(this.#form.node, error.errors);
    this.#complain([explain(error), ...homeless].join(" "));
  }

  /** Both sides, and a choice: what is on the form stays there until it is made. */
  #conflict(theirs) {
    const box = byId("conflict");
    const mine = this.#form.read();
    write(box, { text: t("slot.conflict.text", { who: theirs.updated_by, version: theirs.version }) });
    showDifferences(box, this.#form.normal(theirs), mine);
    part(box, "theirs").onclick = () => this.replace(theirs);
    part(box, "mine").onclick = () => {
      this.#saved = theirs;
      box.hidden = true;
      this.#changed();
      byId("save").focus();
    };
    box.hidden = false;
    box.focus();
  }

  #complain(text) {
    byId("trouble").textContent = text;
    byId("trouble").hidden = false;
  }
}
