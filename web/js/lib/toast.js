import { byId, el, icon } from "./dom.js";

const SECONDS = 6;

/** Says something in passing, to the eye and to a screen reader. `kind`: ok, warn or bad. */
export function toast(text, kind = "ok") {
  const note = el("p", { class: "toast", "data-status": kind }, icon(kind), text);
  byId("toasts").append(note);
  setTimeout(() => note.remove(), SECONDS * 1000);
}
