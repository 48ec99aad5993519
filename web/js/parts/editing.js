import { ApiError, get, put, stayWhile } from "../lib/api.js";
import { byId } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { retried } from "../lib/poll.js";
import { clearProblem, clearProblems, showProblems } from "../lib/problems.js";
import { explain } from "../lib/refusals.js";
import { toast } from "../lib/toast.js";
import { hideConflict, showConflict } from "./conflict.js";

/** A form that is saved as a whole, on its button and on Ctrl+S, once at a time. What is not saved is not
 * left unasked, nor for the sign-in, nor lost to another admin who was faster.
 *
 * A subclass tells whether the form `isChanged()`, what to send (`change()`), the `sides(theirs)` of a conflict, the
 * `stateText()` of what is saved and the `savedText()` after a save. It may ask whether a change `isMeant(change)` and
 * `keep(typed)` after a conflict. `onSaved` gets what is saved now. */
export class FormEditor {
  form;
  saved;
  onSaved;
  #address;
  #isSaving = false;

  constructor(form, { address, onSaved }) {
    this.form = form;
    this.onSaved = onSaved;
    this.#address = address;
    this.#listen(form.node);
  }

  /** The form shows what is saved. */
  show(saved) {
    this.saved = saved;
    this.form.show(saved);
    byId("trouble").hidden = true;
    this.#settle();
    this.changed();
  }

  /** The form shows another state, and so does what stands beside it. */
  replace(saved) {
    this.show(saved);
    this.onSaved(saved);
  }

  /** Brings the head of the page up to date with the form; whether there is something to save. */
  changed() {
    const isChanged = this.isChanged();
    byId("save").disabled = byId("discard").disabled = this.#isSaving || !isChanged;
    byId("state").textContent = isChanged ? t("slot.unsaved") : this.stateText();
    return isChanged;
  }

  async isMeant() {
    return true;
  }

  /** What was typed goes over what somebody else saved, at the next save. */
  keep() {}

  /** Somebody else was faster: both sides are shown, and one of them goes on. */
  showConflict(theirs) {
    const sides = this.sides(theirs);
    const keep = () => {
      this.saved = theirs;
      this.keep(sides.typed);
      this.changed();
    };
    showConflict({ ...sides, take: () => this.replace(theirs), keep });
  }

  #listen(form) {
    for (const kind of ["input", "change"]) {
      form.addEventListener(kind, (event) => {
        clearProblem(event.target);
        this.changed();
      });
    }
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#saveOnce();
    });
    byId("discard").addEventListener("click", () => this.replace(this.saved));
    addEventListener("keydown", (event) => {
      if (event.code !== "KeyS" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      byId("save").click();
    });
    stayWhile(() => this.isChanged());
    addEventListener("beforeunload", (event) => {
      if (this.isChanged()) event.preventDefault();
    });
  }

  async #saveOnce() {
    this.#isSaving = true;
    this.changed();
    byId("trouble").hidden = true;
    try {
      await this.#save(this.change());
    } catch (error) {
      this.#complain(error);
    } finally {
      this.#isSaving = false;
      this.changed();
    }
  }

  async #save(change) {
    if (!(await this.isMeant(change))) return;
    const saved = await this.#send(change);
    if (saved) this.#accept(saved, change);
  }

  /** What is saved then, or null when somebody else was faster: then both sides are shown. */
  async #send(change) {
    try {
      return await put(this.#address, { version: this.saved.version, ...change });
    } catch (error) {
      if (error.reason !== "version_conflict") throw error;
      this.showConflict(await retried(() => get(this.#address)));
      return null;
    }
  }

  /** The form stays as it is, with the focus and what was typed while the answer was under way. */
  #accept(saved, change) {
    this.saved = saved;
    this.form.accept(saved, change);
    this.#settle();
    this.onSaved(saved);
    toast(this.savedText());
  }

  #settle() {
    clearProblems(this.form.node);
    hideConflict();
  }

  /** Says why it was not saved: at each field that does not fit, and above the form. */
  #complain(error) {
    const homeless = error instanceof ApiError ? showProblems(this.form.node, error.errors) : [];
    byId("trouble").textContent = [explain(error), ...homeless].join(" ");
    byId("trouble").hidden = false;
  }
}
