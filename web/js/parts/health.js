import { get } from "../lib/api.js";
import { t } from "../lib/i18n.js";
import { explainReason } from "../lib/refusals.js";
import { ago } from "../lib/time.js";

const WINDOW_SECONDS = 3600;
const FEW = 0.5;
const MOST = 0.9;
const CLOSE_TO_THE_WINDOW = 0.8;

/** All slots with their figures of the last hour and their `health`. */
export async function loadSlots() {
  const [{ slots }, figures] = await Promise.all([get("/api/slots"), lastHour()]);
  return slots.map((slot) => judged(slot, figures));
}

/** One slot, as `loadSlots` gives it. */
export async function loadSlot(id) {
  const [slot, figures] = await Promise.all([get(`/api/slots/${id}`), lastHour()]);
  return judged(slot, figures);
}

async function lastHour() {
  const { slots } = await get(`/api/stats/slots?window=${WINDOW_SECONDS}`);
  return new Map(slots.map((slot) => [slot.id, slot]));
}

function judged(slot, figures) {
  const known = { ...slot, ...figures.get(slot.id) };
  return { ...known, health: healthOf(known) };
}

/** How a slot stands, as `{status, reason}`: the first thing that is true decides. */
function healthOf(slot) {
  if (!slot.is_active) return say("off", "off");
  if (!slot.has_ingest_password) return say("bad", "no_password");
  if (isWithoutKey(slot)) return say("bad", "no_key", { provider: slot.provider });
  if (slot.health.status === "bad") return { status: "bad", reason: explainReason(slot.health.reason) };
  if (slot.success_share !== null && slot.success_share < FEW) return failing("bad", slot);
  if (slot.in_flight > 0) return say("busy", "busy", { count: slot.in_flight });
  if (slot.success_share !== null && slot.success_share < MOST) return failing("warn", slot);
  if (slot.health.status === "warn") return say("warn", slot.health.reason === "model_ends" ? "model_ends" : "fallback");
  if (slot.p95_ms > CLOSE_TO_THE_WINDOW * slot.sync_response_seconds * 1000) return say("warn", "slow");
  if (slot.done > 0) return say("ok", "ok", { ago: ago(slot.last_success_at) });
  return say("idle", "idle");
}

const isWithoutKey = ({ health }) => health.status === "bad" && health.reason === "not_configured";

function failing(status, slot) {
  return { status, reason: explainReason(slot.last_failure_reason) };
}

function say(status, key, params) {
  return { status, reason: t(`slots.health.${key}`, params) };
}
