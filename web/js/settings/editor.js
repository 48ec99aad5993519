import { confirmed } from "../lib/confirm.js";
import { t } from "../lib/i18n.js";
import { same } from "../parts/diff.js";
import { FormEditor } from "../parts/editing.js";

/** Saves the settings of the service, after a question where every camera would notice. */
export class SettingsEditor extends FormEditor {
  constructor(form, settings, onSaved) {
    super(form, { address: "/api/settings", onSaved });
    this.replace(settings);
  }

  isChanged() {
    return Object.keys(this.change()).length > 0;
  }

  /** Only what was touched: another admin's changes of other fields stay. */
  change() {
    const before = this.form.normal(this.saved);
    return Object.fromEntries(Object.entries(this.form.read()).filter(([name, value]) => !same(value, before[name])));
  }

  async isMeant({ ingest_password: password }) {
    if (!password) return true;
    return confirmed({
      title: t("settings.password_title"),
      text: t("settings.password_text"),
      action: t("slot.save"),
    });
  }

  sides(theirs) {
    const { ingest_password: _password, provider_keys: _keys, ...typed } = this.change();
    const saved = this.form.normal(theirs);
    return { text: t("settings.conflict_text"), saved, typed: { ...saved, ...typed } };
  }

  /** What was typed goes over what somebody else saved, at the next save; the rest is theirs. */
  keep(typed) {
    this.form.fill(typed);
  }

  stateText() {
    return "";
  }

  savedText() {
    return t("settings.saved");
  }
}
