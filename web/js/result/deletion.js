import { ApiError, request } from "../lib/api.js";
import { confirmed } from "../lib/confirm.js";
import { byId } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { explain } from "../lib/refusals.js";
import { toast } from "../lib/toast.js";
import { forgetKey } from "./key.js";

/** Lets who has the key delete the picture; `reload` is called once it is gone. */
export function offerDeletion(jobId, key, reload) {
  byId("delete").hidden = key === null;
  byId("delete").addEventListener("click", async () => {
    const asked = {
      title: t("result.delete_title"),
      text: t("result.delete_text"),
      action: t("result.delete_action"),
    };
    if (await confirmed(asked)) await remove(jobId, key, reload);
  });
}

async function remove(jobId, key, reload) {
  byId("delete").disabled = true;
  try {
    await request(`/public/results/${jobId}`, { method: "DELETE", headers: { "X-Delete-Key": key } });
  } catch (error) {
    const isGone = error instanceof ApiError && error.status === 410;
    if (!isGone) return toast(explain(error), "bad");
  } finally {
    byId("delete").disabled = false;
  }
  forgetKey(jobId);
  reload();
}
