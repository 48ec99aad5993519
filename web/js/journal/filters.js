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

/** The filter stands in the page's address, so that Back, a reload and a link keep it. */
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

  /** What the API is asked for; moments of the reader's zone in UTC. */
  get query() {
    const query = new URLSearchParams(location.search);
    for (const name of MOMENTS) {
      const moment = new Date(query.get(name));
      if (query.has(name) && !Number.isNaN(moment.valueOf())) query.set(name, moment.toISOString());
    }
    return query;
  }

  #offer(name, values, words) {
    const options = values.map((value) => el("option", { value }, words(value)));
    byId(name).append(el("option", { value: "" }, t("journal.any")), ...options);
  }

  #show() {
    const query = new URLSearchParams(location.search);
    for (const control of this.#form.elements) if (control.name) control.value = query.get(control.name) ?? "";
  }

  #go(changed) {
    const chosen = [...new FormData(this.#form)].filter(([, value]) => value);
    history.pushState(null, "", `?${new URLSearchParams(chosen)}`);
    changed();
  }
}
