import { byId } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { makeField, setValue, valueOf } from "../parts/control.js";
import { PlanForm } from "./plan.js";

const LIMITS = {
  name: { type: "string" },
  is_active: { type: "boolean" },
  sync_response_seconds: { type: "integer", minimum: 10, maximum: 60, isNullable: true },
  max_side_px: { type: "integer", minimum: 0, maximum: 8192 },
  size_limit_mb: { type: "integer", minimum: 1, maximum: 2048 },
  max_in_flight: { type: "integer", minimum: 1, maximum: 1000 },
  daily_limit: { type: "integer", minimum: 1, maximum: 1_000_000, isNullable: true },
};
const PASSWORD = "ingest_password";
const PLAN = ["provider", "operation", "settings", "templates"];

/** The whole form of a slot: shows what the API tells, reads what it takes. */
export class SlotForm {
  #output = {};
  #providers;
  #fallback;
  #wantedFallback;

  constructor(providers) {
    this.node = byId("slot");
    this.#providers = providers;
    this.plan = new PlanForm(byId("plan"), { prefix: "", title: t("slot.plan"), providers });
    byId("limits").replaceChildren(...Object.keys(LIMITS).map(limitField), passwordField());
    byId("has-fallback").addEventListener("input", () => this.#unfold());
  }

  show(fields) {
    this.#output = fields.output;
    this.plan.show(fields);
    const first = { ...pick(fields, PLAN), settings: pick(fields.settings, ["prompt"]) };
    this.#wantedFallback = fields.fallback ?? first;
    this.#fallback = null;
    byId("has-fallback").checked = fields.fallback !== null;
    this.#unfold();
    for (const name of Object.keys(LIMITS)) setValue(this.#control(name), fields[name]);
    this.#control(PASSWORD).value = fields[PASSWORD] ?? "";
  }

  read() {
    const limits = Object.keys(LIMITS).map((name) => [name, valueOf(this.#control(name))]);
    const password = this.#control(PASSWORD).value;
    return {
      ...this.plan.read(),
      fallback: byId("has-fallback").checked ? this.#fallback.read() : null,
      output: this.#output,
      ...Object.fromEntries(limits),
      ...(password && { [PASSWORD]: password }),
    };
  }

  /** What was typed has been saved; the password is not shown again. */
  accept() {
    this.#control(PASSWORD).value = "";
  }

  /** What the API tells, as `read` would give it if nobody had touched the form. */
  normal(slot) {
    return {
      ...pick(this.plan.normal(slot), PLAN),
      fallback: slot.fallback && pick(this.plan.normal(slot.fallback), PLAN),
      output: slot.output,
      ...pick(slot, Object.keys(LIMITS)),
    };
  }

  #control(name) {
    return this.node.elements.namedItem(name);
  }

  /** Made when it is wanted first: few slots have one. */
  #unfold() {
    const isWanted = byId("has-fallback").checked;
    byId("fallback").hidden = !isWanted;
    if (!isWanted || this.#fallback) return;
    const names = { prefix: "fallback.", title: t("slot.fallback") };
    this.#fallback = new PlanForm(byId("fallback"), { ...names, providers: this.#providers });
    this.#fallback.show(this.#wantedFallback);
  }
}

function limitField(name) {
  const rule = LIMITS[name];
  const words = { label: t(`slot.${name}`), help: t(`slot.${name}_help`) };
  return makeField(name, rule, null, words);
}

/** Never shown, so never filled in by a browser either. */
function passwordField() {
  const words = { label: t("slot.ingest_password"), help: t("slot.ingest_password_help") };
  const field = makeField(PASSWORD, { type: "string" }, "", words);
  const control = field.querySelector("input");
  Object.assign(control, { type: "password", autocomplete: "new-password" });
  return field;
}

function pick(fields, names) {
  return Object.fromEntries(names.filter((name) => name in fields).map((name) => [name, fields[name]]));
}
