import * as api from "./api.js";
import * as connection from "./connection.js";
import { byId } from "./dom.js";
import { has, loaded, t, translate } from "./i18n.js";
import { retried } from "./poll.js";
import { showSwitches } from "./switches.js";

/** Makes the frame of a page that anybody may see; its own script goes on from here. */
export async function ready() {
  await loaded;
  translate(document);
  nameTab();
  if (byId("language")) showSwitches();
  connection.onChange((isHere) => (byId("offline").hidden = isHere));
  document.documentElement.dataset.ready = "";
}

/** Makes the frame of an admins' page; who is not signed in is led to the sign-in and back. Gives
 * the session: `{username, expires_at, public_base_url}`. */
export async function readyForAdmin() {
  const asked = retried(() => api.get("/api/session"));
  await ready();
  markPlace();
  byId("sign-out").addEventListener("click", signOut);
  const session = await asked;
  byId("who").textContent = session.username;
  return session;
}

/** Names the page in the browser's tab. */
export function nameTab(name) {
  const key = `${document.documentElement.dataset.page}.title`;
  document.title = [name ?? (has(key) && t(key)), "Photoslot"].filter(Boolean).join(" · ");
}

function markPlace() {
  const first = (path) => path.split("/")[1].replace(/^slots$/, "");
  for (const link of document.querySelectorAll(".nav a")) {
    const isHere = first(new URL(link.href).pathname) === first(location.pathname);
    if (isHere) link.setAttribute("aria-current", "page");
  }
}

async function signOut() {
  await api.request("/api/logout", { method: "POST" });
  location.assign("/login");
}
