import * as api from "./api.js";
import * as connection from "./connection.js";
import { byId, icon, nameButton } from "./dom.js";
import { has, language, loaded, t, translate } from "./i18n.js";
import { retried } from "./poll.js";
import { explain } from "./refusals.js";
import { toast } from "./toast.js";

const THEMES = ["auto", "light", "dark"];
const ICONS = { auto: "auto", light: "sun", dark: "moon" };

/** Makes the frame of a page that anybody may see; its own script goes on from here. */
export async function ready() {
  await loaded;
  translate(document);
  nameTab();
  if (byId("language")) showSwitches();
  showConnection();
  connection.onChange(showConnection);
  document.documentElement.dataset.ready = "";
}

function showConnection() {
  byId("offline").hidden = connection.isHere();
}

/** Makes the frame of an admins' page; who is not signed in is led to the sign-in and back. Gives
 * the session: `{username, expires_at, public_base_url}`. */
export async function readyForAdmin() {
  const asked = retried(() => api.get("/api/session"));
  addEventListener("session", ({ detail }) => (byId("signed-out").hidden = !detail.isOver));
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
  try {
    await api.signOut();
    location.assign("/login");
  } catch (error) {
    toast(explain(error), "bad");
  }
}

/** The two switches in the corner: language and theme, kept in this browser. */
function showSwitches() {
  const other = language() === "ru" ? "en" : "ru";
  byId("language").textContent = t("frame.other_language");
  byId("language").lang = other;
  byId("language").addEventListener("click", () => {
    localStorage.setItem("language", other);
    location.reload();
  });
  byId("theme").addEventListener("click", nextTheme);
  showTheme();
}

function nextTheme() {
  const choice = document.documentElement.dataset.choice;
  localStorage.setItem("theme", THEMES[(THEMES.indexOf(choice) + 1) % THEMES.length]);
  dispatchEvent(new Event("theme"));
  showTheme();
}

function showTheme() {
  const choice = document.documentElement.dataset.choice;
  byId("theme").replaceChildren(icon(ICONS[choice]));
  nameButton(byId("theme"), t(`theme.${choice}`));
}
