import { byId } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { copyOnClick } from "../parts/copy.js";

let shown;

byId("code-print").addEventListener("click", () => print());

/** The code of a link on the screen, to be scanned, copied or printed and put on a wall. */
export function showCode(share) {
  if (!shown) copyOnClick(byId("code-copy"), () => shown.page_url);
  shown = share;
  const token = new URL(share.page_url).hash.slice(1);
  byId("code-title").textContent = share.label || t("show.code");
  byId("code-image").src = `/public/shares/qr?share=${encodeURIComponent(token)}`;
  byId("code-address").textContent = share.page_url;
  byId("code-dialog").showModal();
}
