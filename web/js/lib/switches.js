import { byId, icon } from "./dom.js";
import { language, t } from "./i18n.js";

const THEMES = ["auto", "light", "dark"];
const ICONS = { auto: "auto", light: "sun", dark: "moon" };

/** The two switches in the corner: language and theme, kept in this browser. */
export function showSwitches() {
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
  const text = t(`theme.${choice}`);
  byId("theme").replaceChildren(icon(ICONS[choice]));
  byId("theme").setAttribute("aria-label", text);
  byId("theme").title = text;
}
