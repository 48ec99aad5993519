import { ApiError, get, put } from "../lib/api.js";
import { confirmed } from "../lib/confirm.js";
import { byId, part } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { clearProblem, clearProblems, showProblems } from "../lib/problems.js";
import { retried } from "../lib/poll.js";
import { explain } from "../lib/refusals.js";
import { toast } from "../lib/toast.js";
import { same, showDifferences } from "../slot/diff.js";

/** Saves the settings of the house, after a question where every camera would notice. */
export class SettingsEditor {
  #form;
  #saved;
  #onSaved;

  constructor(form, settings, onSaved) {
    this.#form = form;
    this.#onSaved = onSaved;
    for (const kind of ["input", "change"]) {
      form.node.addEventListener(kind, (event) => {
        clearProblem(event.target);
        this.#changed();
      });
    }
    form.node.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
    byId("discard").addEventListener("click", () => this.#show(this.#saved));
    addEventListener("beforeunload", (event) => this.#isChanged() && event.preventDefault());
    this.#show(settings);
  }

  #show(settings) {
    this.#saved = settings;
    this.#form.show(settings);
    clearProblems(this.#form.node);
    byId("conflict").hidden = byId("trouble").hidden = true;
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
    const isChanged = this.#isChanged();
    byId("save").disabled = byId("discard").disabled = !isChanged;
    byId("state").textContent = isChanged ? t("slot.unsaved") : "";
  }

  async #save() {
    const change = this.#change();
    if (change.ingest_password && !(await isMeant())) return;
    byId("trouble").hidden = true;
    try {
      this.#show(await put("/api/settings", { version: this.#saved.version, ...change }));
      toast(t("settings.saved"));
    } catch (error) {
      await this.#refused(error);
    }
  }

  async #refused(error) {
    if (error.reason === "version_conflict") return this.#conflict(await retried(() => get("/api/settings")));
    const homeless = error instanceof ApiError ? showProblems(this.#form.node, error.errors) : [];
    byId("trouble").textContent = [explain(error), ...homeless].join(" ");
    byId("trouble").hidden = false;
  }

  /** Both sides, and a choice: what is on the form stays there until it is made. */
  #conflict(theirs) {
    const box = byId("conflict");
    const mine = this.#change();
    const { ingest_password: _password, provider_keys: _keys, ...shown } = mine;
    const normal = this.#form.normal(theirs);
    showDifferences(box, normal, { ...normal, ...shown });
    part(box, "theirs").onclick = () => this.#show(theirs);
    part(box, "mine").onclick = () => {
      this.#saved = theirs;
      this.#form.fill({ ...normal, ...mine });
      box.hidden = true;
      this.#changed();
      byId("save").focus();
    };
    box.hidden = false;
    box.focus();
  }
}

function isMeant() {
  return confirmed({
    title: t("settings.password_title"),
    text: t("settings.password_text"),
    action: t("slot.save"),
  });
}
