import { ApiError, stayWhile } from "../lib/api.js";
import { byId, part, write } from "../lib/dom.js";
import { clearProblem, showProblems } from "../lib/problems.js";
import { explain } from "../lib/refusals.js";
import { showDifferences } from "./diff.js";

/** Wires a form that is saved as a whole: `changed` is called with every key, `save` on its button and
 * on Ctrl+S, once at a time, `discard` on the other button. What `isChanged` and not saved is not left
 * unasked, nor for the sign-in. Gives a function that brings the two buttons up to date and tells
 * whether it `isChanged`. */
export function wire(form, { changed, save, discard, isChanged }) {
  let isSaving = false;

  function update() {
    const hasChanged = isChanged();
    byId("save").disabled = byId("discard").disabled = isSaving || !hasChanged;
    return hasChanged;
  }

  async function saveOnce() {
    isSaving = true;
    changed();
    byId("trouble").hidden = true;
    try {
      await save();
    } catch (error) {
      complain(form, error);
    } finally {
      isSaving = false;
      changed();
    }
  }

  for (const kind of ["input", "change"]) {
    form.addEventListener(kind, (event) => {
      clearProblem(event.target);
      changed();
    });
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    saveOnce();
  });
  byId("discard").addEventListener("click", discard);
  addEventListener("keydown", (event) => {
    if (event.code !== "KeyS" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    byId("save").click();
  });
  stayWhile(isChanged);
  addEventListener("beforeunload", (event) => {
    if (isChanged()) event.preventDefault();
  });
  return update;
}

/** Says why it was not saved: at each field that does not fit, and above the form. */
function complain(form, error) {
  const homeless = error instanceof ApiError ? showProblems(form, error.errors) : [];
  byId("trouble").textContent = [explain(error), ...homeless].join(" ");
  byId("trouble").hidden = false;
}

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
