import { byId, el } from "../lib/dom.js";
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
  for (const name of MOMENTS) if (Number.isNaN(Date.parse(query.get(name)))) query.delete(name);
  return query;
}

/** The filter stands in the page's address, so that Back, a reload and a link keep it; its moments
 * stand there in UTC, so that a link means the same in every zone. */
export class Filters {
  #form = byId("filters");

  constructor(changed) {
    this.#offer("slot_id", SLOTS, (slot) => slot);
    this.#offer("status", STATUSES, (status) => t(`status.${status}`));
    this.#offer("reason", REASONS, explainReason);
    this.#offer("source", SOURCES, (source) => t(`source.${source}`));
    this.#form.addEventListener("change", () => this.#go(changed));
    this.#form.addEventListener("submit", (event) => event.preventDefault());
    this.#form.addEventListener("reset", () => setTimeout(() => this.#go(changed)));
    addEventListener("popstate", () => {
      this.#show();
      changed();
    });
    this.#show();
  }

  #offer(name, values, words) {
    const options = values.map((value) => el("option", { value }, words(value)));
    byId(name).append(el("option", { value: "" }, t("journal.any")), ...options);
  }

  #show() {
    const query = asked();
    for (const control of this.#form.elements) {
      const value = query.get(control.name) ?? "";
      if (control.name) control.value = value && MOMENTS.includes(control.name) ? local(value) : value;
    }
  }

  #go(changed) {
    const chosen = [...new FormData(this.#form)]
      .filter(([, value]) => value)
      .map(([name, value]) => [name, MOMENTS.includes(name) ? new Date(value).toISOString() : value]);
    history.pushState(null, "", `?${new URLSearchParams(chosen)}`);
    changed();
  }
}

/** A moment as `datetime-local` fields show it, in the reader's zone. */
function local(moment) {
  const date = new Date(moment);
  return new Date(date - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
