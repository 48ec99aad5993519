import { get } from "../lib/api.js";

// The token of the link is a fragment, which browsers keep to themselves: it stands in no log.
const token = location.hash.slice(1);
const share = `share=${encodeURIComponent(token)}`;

/** The one slot this gallery is of, or null for all of them. */
export const slotId = location.pathname.split("/")[2] ?? null;

addEventListener("hashchange", () => location.reload());

const under = (path, slot) => (slot ? `${path}/${slot}` : path);

/** The address of a page (`/g`, `/show`) for a slot or for all, under the same link. */
export const pageOf = (path, slot) => `${under(path, slot)}#${token}`;

/** The address of the link's own QR code. */
export const codePath = `/public/shares/qr?${share}`;

/** The slots of this gallery with their newest pictures. Raises what `get` raises. */
export async function look(limit) {
  const found = await get(`${under("/public/slots", slotId)}?${share}&limit=${limit}`);
  return found.slots ?? [found];
}
