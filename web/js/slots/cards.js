import { byId, clone } from "../lib/dom.js";
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
