import { ApiError, OfflineError } from "./api.js";
import { byId } from "./dom.js";
import { has, t } from "./i18n.js";

/** What went wrong and what to do, for a person. */
export function explain(error) {
  if (error instanceof OfflineError) return t("frame.offline");
  if (!(error instanceof ApiError)) throw error;
  const text = explainReason(error.reason);
  return error.retryAfter ? `${text} ${waiting(error.retryAfter)}` : text;
}

/** Says above the page's content what went wrong, until it is hidden again. */
export function showTrouble(error) {
  byId("trouble").textContent = explain(error);
  byId("trouble").hidden = false;
}

/** The sentence for a `failure_reason`. */
export function explainReason(reason) {
  return has(`reason.${reason}`) ? t(`reason.${reason}`) : t("reason.internal_error");
}

/** How long to wait, in whole minutes from one on. */
export function waiting(seconds) {
  return seconds < 60
    ? t("wait.seconds", { count: seconds })
    : t("wait.minutes", { count: Math.ceil(seconds / 60) });
}
