import { part } from "../lib/dom.js";
import { has, t } from "../lib/i18n.js";
import { explainReason } from "../lib/refusals.js";

const LIGHTS = { done: "ok", failed: "bad", timeout: "warn", pending: "busy" };

/** How a shot ended, or that it runs, told by light and words. */
export function showOutcome(node, { status, failure_reason: reason }) {
  const light = LIGHTS[status];
  node.querySelector(".status").dataset.status = light;
  part(node, "light").dataset.icon = light;
  part(node, "words").textContent = reason ? explainReason(reason) : t(`status.${status}`);
}

/** A provider, operation or the like in the reader's words; one without any as it is. */
export function nameOf(kind, name) {
  return has(`${kind}.${name}`) ? t(`${kind}.${name}`) : name;
}
