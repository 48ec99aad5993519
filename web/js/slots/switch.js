import { put } from "../lib/api.js";
import { confirmed } from "../lib/confirm.js";
import { t } from "../lib/i18n.js";
import { explain } from "../lib/refusals.js";
import { toast } from "../lib/toast.js";

/** Switches a slot off, after a question, or on. */
export function flipOnClick(button, current, refresh) {
  button.addEventListener("click", async () => {
    const slot = current();
    if (slot.is_active && !(await isMeant(slot))) return;
    button.disabled = true;
    await flip(slot);
    await refresh();
    button.disabled = false;
    button.focus();
  });
}

function isMeant(slot) {
  return confirmed({
    title: t("slots.off_title", { slot: slot.name }),
    text: t("slots.off_text"),
    action: t("slots.off_action"),
  });
}

async function flip(slot) {
  const isActive = !slot.is_active;
  try {
    await put(`/api/slots/${slot.id}`, { version: slot.version, is_active: isActive });
    toast(t(isActive ? "slots.is_on" : "slots.is_off", { slot: slot.name }));
  } catch (error) {
    toast(error.reason === "version_conflict" ? t("slots.conflict") : explain(error), "bad");
  }
}
