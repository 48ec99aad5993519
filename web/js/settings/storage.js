import { get, post } from "../lib/api.js";
import { confirmed } from "../lib/confirm.js";
import { byId, pair } from "../lib/dom.js";
import { bytes, number } from "../lib/figures.js";
import { t } from "../lib/i18n.js";
import { explain } from "../lib/refusals.js";

const WINDOW_SECONDS = 300;

/** What lies on the disk, and the button that removes what is over. */
export async function showStorage() {
  byId("cleanup").onclick = cleanUp;
  const { storage } = await get(`/api/stats?window=${WINDOW_SECONDS}`);
  const told = storage.map(({ kind, files, bytes: size }) => pair(t(`storage.${kind}`), t("settings.files", { count: files, files: number(files), size: bytes(size) })));
  byId("storage").replaceChildren(...(told.length ? told : [pair(t("storage.result"), "–")]));
}

async function cleanUp() {
  const text = { title: t("settings.cleanup_title"), text: t("settings.cleanup_text"), action: t("settings.cleanup") };
  if (!(await confirmed(text))) return;
  byId("cleanup").disabled = true;
  try {
    const { files, bytes: size } = await post("/api/cleanup");
    byId("cleaned").textContent = t("settings.cleaned", { count: files, files: number(files), size: bytes(size) });
    await showStorage();
  } catch (error) {
    byId("cleaned").textContent = explain(error);
  } finally {
    byId("cleanup").disabled = false;
  }
}
