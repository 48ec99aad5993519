// Runs before the first paint, so that the page never flashes in the other theme or language, and asks
// for its texts while the rest of it is still on its way.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const paint = () => {
    root.dataset.choice = localStorage.getItem("theme") ?? "auto";
    const auto = dark.matches ? "dark" : "light";
    root.dataset.theme = root.dataset.choice === "auto" ? auto : root.dataset.choice;
  };
  const russian = (navigator.languages ?? []).find((tag) => /^(ru|en)\b/.test(tag))?.startsWith("ru");
  root.lang = localStorage.getItem("language") ?? (russian ? "ru" : "en");
  const href = new URL(`../i18n/${root.lang}.json`, document.currentScript.src);
  const hint = { rel: "preload", as: "fetch", crossOrigin: "anonymous", href };
  document.head.append(Object.assign(document.createElement("link"), hint));
  dark.addEventListener("change", paint);
  addEventListener("theme", paint);
  paint();
})();
