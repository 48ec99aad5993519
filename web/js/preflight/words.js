import { bytes, seconds } from "../lib/figures.js";
import { has, t } from "../lib/i18n.js";
import { explainReason } from "../lib/refusals.js";

/** What a check looks at. */
export function nameOf({ check, subject, name }) {
  if (check === "slot") return `${name} (${subject})`;
  return check === "provider" ? t(`provider.${subject}`) : t(`preflight.check_${check}`);
}

/** How it stands, in a sentence. */
export function wordsOf({ check, status, reason, figures }) {
  if (status === "ok") return t(`preflight.ok_${check}`, told(figures));
  const own = `preflight.reason_${reason}`;
  const words = has(own) ? t(own, told(figures)) : explainReason(reason);
  return figures.total_ms ? `${words} ${t("preflight.took", told(figures))}` : words;
}

/** What to do, or what exactly was said. */
export function adviceOf({ status, reason, details }) {
  if (status === "ok") return "";
  const advice = `preflight.do_${reason}`;
  return has(advice) ? t(advice) : (details ?? "");
}

function told(figures) {
  return {
    ...figures,
    skew: figures.skew_ms === undefined ? "" : seconds(Math.abs(figures.skew_ms)),
    free: figures.free_bytes ? bytes(figures.free_bytes) : "",
    slots: figures.slots?.join(", "),
    models: figures.models?.join(", "),
    took: figures.total_ms ? seconds(figures.total_ms) : "",
    window: figures.window_seconds,
  };
}
