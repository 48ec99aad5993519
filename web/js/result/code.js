import { byId } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { toast } from "../lib/toast.js";
import { explain } from "../lib/refusals.js";
import { drawnCode } from "../parts/code.js";

/** Makes the button show the QR code that takes the page to a phone, with the key of who has it. */
export function offerCode(jobId, key) {
  byId("code-advice").textContent = t(key ? "result.code_with_key" : "result.code_without_key");
  byId("code").addEventListener("click", async () => {
    try {
      byId("code-image").src = await drawnCode(jobId, key);
      byId("code-dialog").showModal();
    } catch (error) {
      toast(explain(error), "bad");
    }
  });
  byId("code-dialog").addEventListener("close", () => URL.revokeObjectURL(byId("code-image").src));
}
