import { t } from "../lib/i18n.js";
import { toast } from "../lib/toast.js";

const SECONDS = 2;

/** Makes a button copy a text, or what `text()` gives at that moment. One that may be seen before
 * is disabled until now. */
export function copyOnClick(button, text) {
  button.addEventListener("click", async () => {
    await copy(typeof text === "function" ? text() : text);
    toast(t("copy.done"));
    tick(button);
  });
  button.disabled = false;
}

/** The clipboard's own interface is there only on https and on this machine itself. */
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

function tick(button) {
  const light = button.querySelector(".icon");
  light.dataset.icon = "check";
  setTimeout(() => (light.dataset.icon = "copy"), SECONDS * 1000);
}
