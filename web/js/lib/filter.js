import { byId, el } from "./dom.js";
import { t } from "./i18n.js";

/** Offers these values in the field of that name, or any. */
export function offerChoices(name, values, words) {
  const options = values.map((value) => el("option", { value }, words(value)));
  byId(name).append(el("option", { value: "" }, t("journal.any")), ...options);
}

/** Keeps what `form` chooses in the page's address, so that Back, a reload and a link keep it; `changed` is
 * called when that is something else. `toField` and `toAddress` turn a named value of the address into that of
 * its field and back. */
export function keepInAddress(form, changed, { toField = unchanged, toAddress = unchanged } = {}) {
  function fill() {
    const query = new URLSearchParams(location.search);
    for (const control of form.elements) {
      if (control.name) control.value = toField(control.name, query.get(control.name) ?? "");
    }
  }

  function go() {
    const chosen = [...new FormData(form)]
      .filter(([, value]) => value)
      .map(([name, value]) => [name, toAddress(name, value)]);
    const query = new URLSearchParams(chosen).toString();
    history.pushState(null, "", query ? `?${query}` : location.pathname);
    changed();
  }

  form.addEventListener("change", go);
  form.addEventListener("reset", () => setTimeout(go));
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("popstate", () => {
    fill();
    changed();
  });
  fill();
}

const unchanged = (_name, value) => value;
