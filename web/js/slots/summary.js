import { byId } from "../lib/dom.js";
import { t } from "../lib/i18n.js";

/** One line over all cards; what needs somebody comes first. */
export function summarise(slots) {
  const count = (...wanted) => slots.filter((slot) => wanted.includes(slot.health.status)).length;
  const troubled = count("bad", "warn");
  const inFlight = slots.reduce((sum, slot) => sum + slot.in_flight, 0);
  const text = [
    troubled ? t("slots.troubled", { count: troubled }) : t("slots.untroubled"),
    t("slots.on", { count: slots.length - count("off") }),
    t("slots.flying", { count: inFlight }),
  ].join(" · ");
  if (byId("summary").textContent !== text) byId("summary").textContent = text;
}
