import { byId, part, write } from "../lib/dom.js";
import { showDifferences } from "./diff.js";

/** Both sides of a stale save: what somebody else has `saved` and what was `typed` here. Then `take` or
 * `keep` is called, as was chosen; what was typed stays on the form until then. */
export function showConflict({ text, saved, typed, take, keep }) {
  const box = byId("conflict");
  write(box, { text });
  showDifferences(box, saved, typed);
  part(box, "theirs").onclick = take;
  part(box, "mine").onclick = () => {
    hideConflict();
    keep();
    byId("save").focus();
  };
  box.hidden = false;
  box.focus();
}

export function hideConflict() {
  byId("conflict").hidden = true;
}
