import { clone, part } from "../lib/dom.js";
import { has, t } from "../lib/i18n.js";
import { nameOf } from "../parts/outcome.js";
import { makeField, valueOf } from "../parts/control.js";
import { fits, rulesOf, trimmed } from "./rules.js";
import { Templates } from "./templates.js";

const IN_SIGHT = ["prompt", "model"];

/** The form of a complete order: whom to ask, for what, how. The slot has one, its fallback another,
 * whose paths begin with `fallback.`. */
export class PlanForm {
  #prefix;
  #providers;
  #remembered = {};
  #who;

  constructor(box, { prefix, title, providers }) {
    this.#prefix = prefix;
    this.#providers = new Map(providers.map((one) => [one.name, one]));
    this.node = clone("plan-form");
    part(this.node, "title").textContent = title;
    this.templates = new Templates(part(this.node, "templates"), `${prefix}templates`);
    box.replaceChildren(this.node);
  }

  show({ provider, operation, settings, templates }) {
    this.#remembered = { ...settings, ...own(provider, settings) };
    this.templates.show(templates);
    this.#showWho(provider, operation);
    this.#showSettings();
  }

  read() {
    const { provider, operation } = this.#chosen();
    this.#remember();
    const settings = {};
    for (const name of this.#rules().keys()) settings[name] = this.#remembered[ownName(provider, name)];
    return { provider, operation, settings: trimmed(settings, this.#rules()), templates: this.templates.read() };
  }

  /** A plan of the API as `read` would give it. */
  normal(plan) {
    const operation = this.#providers.get(plan.provider)?.operations.find((one) => one.name === plan.operation);
    return operation ? { ...plan, settings: trimmed(plan.settings, rulesOf(operation.settings_schema)) } : plan;
  }

  #showWho(provider, operation) {
    const names = [...this.#providers.keys()];
    const who = this.#choose("provider", names, provider, (name) => nameOf("provider", name));
    const operations = this.#providers.get(who.value)?.operations.map((one) => one.name) ?? [];
    const what = this.#choose("operation", operations, operation, (name) => t(`slot.operation.${name}`));
    this.#who = { provider: who.control, operation: what.control };
    who.control.addEventListener("change", () => this.#change(who.control.value, what.control.value));
    what.control.addEventListener("change", () => this.#change(who.control.value, what.control.value));
    part(this.node, "who").replaceChildren(who.field, what.field);
  }

  #choose(name, options, wanted, words) {
    const value = options.includes(wanted) ? wanted : options[0];
    const field = makeField(`${this.#prefix}${name}`, { enum: options }, value, { label: t(`slot.${name}`) });
    const control = field.querySelector("select");
    for (const option of control.options) option.textContent = words(option.value);
    control.value = value;
    return { field, control, value };
  }

  #change(provider, operation) {
    this.#remember();
    const isProvider = provider !== this.#who.shownProvider;
    this.#showWho(provider, operation);
    this.#showSettings();
    this.#who[isProvider ? "provider" : "operation"].focus();
  }

  /** Everything that was typed is kept in mind; what the new rules allow is shown again. */
  #remember() {
    const shown = [...this.#controls()].map((control) => [control.name.split(".").at(-1), valueOf(control)]);
    const settings = Object.fromEntries(shown);
    Object.assign(this.#remembered, settings, own(this.#who.shownProvider, settings));
  }

  #showSettings() {
    const { provider } = this.#chosen();
    this.#who.shownProvider = provider;
    const rules = this.#rules();
    const fields = [...rules].map(([name, rule]) => [name, this.#field(provider, name, rule)]);
    const [seen, rest] = [true, false].map((wanted) =>
      fields.filter(([name]) => IN_SIGHT.includes(name) === wanted).map(([, field]) => field),
    );
    part(this.node, "settings").replaceChildren(...seen);
    part(this.node, "settings").hidden = seen.length === 0;
    part(this.node, "details").replaceChildren(...rest);
    part(this.node, "more").hidden = rest.length === 0;
    this.templates.allow(this.#operation());
  }

  #field(provider, name, rule) {
    const kept = this.#remembered[ownName(provider, name)] ?? (rule.examples ? undefined : this.#remembered[name]);
    const value = fits(kept, rule) ? kept : (rule.default ?? null);
    return makeField(`${this.#prefix}settings.${name}`, rule, value, {
      label: has(`setting.${name}`) ? t(`setting.${name}`) : (rule.title ?? name),
      help: has(`help.${provider}.${name}`) ? t(`help.${provider}.${name}`) : rule.description,
    });
  }

  #controls() {
    return this.node.querySelectorAll(`[name^="${this.#prefix}settings."]`);
  }

  #chosen() {
    return { provider: this.#who.provider.value, operation: this.#who.operation.value };
  }

  #operation() {
    const { provider, operation } = this.#chosen();
    return this.#providers.get(provider).operations.find((one) => one.name === operation);
  }

  #rules() {
    return rulesOf(this.#operation().settings_schema);
  }
}

const ownName = (provider, name) => `${provider}.${name}`;

/** Settings by their provider's name too: a model of one is nothing to another. */
function own(provider, settings) {
  return Object.fromEntries(Object.entries(settings).map(([name, value]) => [ownName(provider, name), value]));
}
