import { byId } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { clock } from "../lib/time.js";

/** As before the first run: what there was did not come to its end. */
export function showRest() {
  light("idle", t("preflight.idle"), t("preflight.idle_advice"));
}

export function showProgress(found, planned) {
  light("busy", t("preflight.running"), t("preflight.progress_count", { found, planned }));
  byId("progress").hidden = false;
  byId("progress").max = planned;
  byId("progress").value = found;
}

/** How it ended, in a colour, a shape and words. */
export function showLight({ ready, failed, warnings, provider_calls: calls }) {
  const status = ready ? (warnings ? "warn" : "ok") : "bad";
  const words = [
    failed && t("preflight.failed", { count: failed }),
    warnings && t("preflight.warnings", { count: warnings }),
    t("preflight.calls", { count: calls }),
    t("preflight.at", { at: clock(Date.now()) }),
  ];
  light(status, t(`preflight.light_${status}`), words.filter(Boolean).join(" · "));
}

function light(status, verdict, summary) {
  byId("light").dataset.status = status;
  byId("lamp").dataset.icon = status;
  byId("verdict").textContent = verdict;
  byId("summary").textContent = summary;
  byId("progress").hidden = true;
}
