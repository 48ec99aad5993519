import { byId } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { copyOnClick } from "../parts/copy.js";

/** Where cameras send to, as a link and as a line for a terminal. Nobody knows the password here. */
export function showAddress(id, base) {
  const link = `${base}/api/ingest/${id}`;
  const password = t("slot.send.password");
  const curl = `curl -sS -F password=${password} -F fileToUpload=@photo.jpg ${link} -o edited.jpg`;
  byId("link").textContent = link;
  byId("curl").textContent = curl;
  copyOnClick(byId("copy-link"), link, t("slot.send.copy_link"));
  copyOnClick(byId("copy-curl"), curl, t("slot.send.copy_curl"));
}
