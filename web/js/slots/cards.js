import { byId, clone } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { makeCard, updateCard } from "./card.js";

const SLOTS = 15;
const cards = new Map();
const latest = new Map();

/** Holds the place of the cards until they come. */
export function showSkeletons() {
  const places = Array.from({ length: SLOTS }, () => clone("card-to-come"));
  byId("cards").replaceChildren(...places);
}

/** Brings every card up to date; a card stays the same element, so focus and place are kept. */
export function showCards(slots, base, refresh) {
  for (const slot of slots) {
    latest.set(slot.id, slot);
    if (!cards.has(slot.id)) cards.set(slot.id, makeCard(() => latest.get(slot.id), base, refresh));
    updateCard(cards.get(slot.id), slot);
  }
  const box = byId("cards");
  if (box.getAttribute("aria-busy") === "false") return;
  box.replaceChildren(...cards.values());
  box.setAttribute("aria-busy", "false");
}

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
