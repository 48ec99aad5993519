import { byId, el } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { nameOf } from "../parts/outcome.js";
import { makeField, setValue, valueOf } from "../parts/control.js";

const GENERAL = {
  sync_response_seconds: { type: "integer", minimum: 10, maximum: 60 },
  result_ttl_hours: { type: "integer", minimum: 1, maximum: 8760 },
};
const AT_ONCE = { type: "integer", minimum: 1, maximum: 1000 };
const PASSWORD = "ingest_password";
// 32 of them, so that each is as likely; none is taken for another.
const ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789";

/** The form of the service's settings. Secrets go in and are never shown: what is empty stays as it is. */
export class SettingsForm {
  node = byId("settings");

  constructor({ provider_max_in_flight: limits, provider_keys: keys }) {
    const general = Object.entries(GENERAL).map(([name, rule]) => field(name, rule));
    const atOnce = Object.keys(limits).map((name) => {
      const label = t("settings.at_once", { provider: nameOf("provider", name) });
      return makeField(`provider_max_in_flight.${name}`, AT_ONCE, null, { label, help: t("settings.at_once_help") });
    });
    byId("general").replaceChildren(...general, ...atOnce);
    byId("password").replaceChildren(secret(PASSWORD, t("settings.ingest_password"), t("settings.ingest_password_help")));
    byId("keys").replaceChildren(...Object.keys(keys).map(keyField));
    byId("generate").addEventListener("click", () => this.#generate());
  }

  show(settings) {
    this.fill(settings);
    this.forget(this.read());
    this.showKeys(settings);
    this.node.setAttribute("aria-busy", "false");
  }

  /** Everything but the secrets. */
  fill(settings) {
    for (const name of Object.keys(GENERAL)) setValue(this.#control(name), settings[name]);
    for (const [name, value] of Object.entries(settings.provider_max_in_flight)) {
      setValue(this.#control(`provider_max_in_flight.${name}`), value);
    }
  }

  /** What the API takes. */
  read() {
    const general = Object.keys(GENERAL).map((name) => [name, valueOf(this.#control(name))]);
    const limits = this.#named("provider_max_in_flight.").map((one) => [last(one.name), valueOf(one)]);
    const keys = Object.fromEntries(this.#keys());
    const password = this.#control(PASSWORD).value;
    return {
      ...Object.fromEntries(general),
      provider_max_in_flight: Object.fromEntries(limits),
      ...(password && { [PASSWORD]: password }),
      ...(Object.keys(keys).length && { provider_keys: keys }),
    };
  }

  /** What the API tells, as `read` would give it if nobody had touched the form. */
  normal(settings) {
    const general = Object.keys(GENERAL).map((name) => [name, settings[name]]);
    return { ...Object.fromEntries(general), provider_max_in_flight: settings.provider_max_in_flight };
  }

  /** What was typed has been saved. */
  accept(settings, change) {
    this.forget(change);
    this.showKeys(settings);
  }

  /** Where each provider's key is from; one that was set here can be given up. */
  showKeys({ provider_keys: sources }) {
    for (const [name, source] of Object.entries(sources)) {
      this.#control(`provider_keys.${name}`).placeholder = t(`settings.key.${source ?? "none"}`);
      this.#control(`forget.${name}`).closest(".check").hidden = source !== "settings";
    }
  }

  /** Secrets that have been saved are not shown again; what was typed since stays. */
  forget({ [PASSWORD]: password = "", provider_keys: keys = {} }) {
    const control = this.#control(PASSWORD);
    if (control.value === password) Object.assign(control, { value: "", type: "password" });
    for (const [name, key] of Object.entries(keys)) {
      const typed = this.#control(`provider_keys.${name}`);
      if (typed.value === key) typed.value = "";
      this.#control(`forget.${name}`).checked = false;
    }
  }

  #keys() {
    const typed = this.#named("provider_keys.").filter((one) => one.value).map((one) => [last(one.name), one.value]);
    const given = this.#named("forget.").filter((one) => one.checked).map((one) => [last(one.name), ""]);
    return [...given, ...typed];
  }

  /** Shown until it is saved: somebody has to write it down. */
  #generate() {
    const bytes = crypto.getRandomValues(new Uint8Array(12));
    const control = this.#control(PASSWORD);
    control.type = "text";
    control.value = Array.from(bytes, (byte) => ALPHABET[byte % ALPHABET.length]).join("");
    control.focus();
    control.dispatchEvent(new Event("input", { bubbles: true }));
  }

  #control(name) {
    return this.node.elements.namedItem(name);
  }

  #named(prefix) {
    return [...this.node.elements].filter((control) => control.name.startsWith(prefix));
  }
}

const last = (path) => path.split(".").at(-1);

function field(name, rule) {
  return makeField(name, rule, null, { label: t(`settings.${name}`), help: t(`settings.${name}_help`) });
}

function secret(path, label, help) {
  const made = makeField(path, { type: "string" }, "", { label, help });
  Object.assign(made.querySelector("input"), { type: "password", autocomplete: "new-password" });
  return made;
}

function keyField(name) {
  const provider = nameOf("provider", name);
  const key = secret(`provider_keys.${name}`, t("settings.key", { provider }), "");
  const forget = el("input", { type: "checkbox", name: `forget.${name}` });
  key.append(el("label", { class: "check small" }, forget, t("settings.forget")));
  return key;
}
