import { byId } from "../lib/dom.js";
import { keepInAddress, offerChoices } from "../lib/filter.js";
import { t } from "../lib/i18n.js";
import { explainReason } from "../lib/refusals.js";

const SLOTS = Array.from({ length: 15 }, (_none, index) => `slot-${String(index + 1).padStart(3, "0")}`);
const STATUSES = ["done", "failed", "timeout", "pending"];
const SOURCES = ["device", "test"];
const REASONS = ["client_closed", "content_blocked", "image_too_large", "internal_error", "interrupted",
  "invalid_image", "invalid_request", "not_configured", "overloaded", "payload_too_large", "provider_auth",
  "provider_bad_response", "provider_busy", "provider_error", "provider_no_image", "provider_quota",
  "provider_timeout", "provider_unavailable", "quota_exceeded", "slot_busy", "storage_error", "storage_full",
  "unsupported_media_type", "upload_timeout"];
const MOMENTS = ["from", "until"];

/** What the API is asked for: the page's address, without what is no moment. */
export function asked() {
  const query = new URLSearchParams(location.search);
  for (const name of MOMENTS) if (!isMoment(query.get(name))) query.delete(name);
  return query;
}

/** The filter of the journal. Its moments stand in the address in UTC, so that a link means the same in
 * every zone. */
export function offerFilters(changed) {
  offerChoices("slot_id", SLOTS, (slot) => slot);
  offerChoices("status", STATUSES, (status) => t(`status.${status}`));
  offerChoices("reason", REASONS, explainReason);
  offerChoices("source", SOURCES, (source) => t(`source.${source}`));
  keepInAddress(byId("filters"), changed, {
    toField: (name, value) => (MOMENTS.includes(name) ? local(value) : value),
    toAddress: (name, value) => (MOMENTS.includes(name) ? new Date(value).toISOString() : value),
  });
}

const isMoment = (text) => !Number.isNaN(Date.parse(text));

/** A moment as `datetime-local` fields show it, in the reader's zone. */
function local(moment) {
  if (!isMoment(moment)) return "";
  const date = new Date(moment);
  return new Date(date - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
