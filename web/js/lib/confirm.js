import { byId, part, write } from "./dom.js";

/** Asks before something that cannot be taken back; true when the answer is yes. */
export function confirmed({ title, text, action, isDangerous = true }) {
  const dialog = byId("confirm");
  write(dialog, { title, text, action });
  part(dialog, "action").classList.toggle("danger", isDangerous);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
