import { byId, part, write } from "../lib/dom.js";
import { poll } from "../lib/poll.js";
import { loadSlot } from "../parts/health.js";

const SECONDS = 5;

/** The slot's light, as on the page of all slots. */
export function showStanding(id) {
  poll({ load: () => loadSlot(id), show, fail: () => {}, seconds: SECONDS });
}

function show({ health }) {
  const node = byId("standing");
  node.dataset.status = health.status;
  part(node, "light").dataset.icon = health.status;
  write(node, { reason: health.reason });
}
