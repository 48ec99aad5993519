import { byId, part, write } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { showDifferences } from "./diff.js";

/** Both sides of a stale save: the slot that somebody else saved, as `saved` on the form's terms, and
 * what was `typed`. Then `take` or `keep` is called, as was chosen. */
export function showConflict({ updated_by: who, version }, { saved, typed, take, keep }) {
  const box = byId("conflict");
  write(box, { text: t("slot.conflict.text", { who, version }) });
  showDifferences(box, saved, typed);
  part(box, "theirs").onclick = take;
  part(box, "mine").onclick = keep;
  box.hidden = false;
  box.focus();
}

export function hideConflict() {
  byId("conflict").hidden = true;
}
