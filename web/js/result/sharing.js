import { byId, nameButton } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { copyOnClick } from "../parts/copy.js";

/** Makes the button hand the picture to another app: as a file where the device can do that, else
 * as a link; where nothing can be shared it copies the link. The key is never part of it. */
export function offerSharing(jobId) {
  const button = byId("share");
  const link = { url: location.origin + location.pathname, title: t("result.title") };
  if (!navigator.share) return offerCopy(button, link.url);
  let file;
  const prepare = () => (file ??= fetched(jobId));
  button.addEventListener("pointerenter", prepare);
  button.addEventListener("click", async () => {
    const picture = { files: [await prepare()], title: link.title };
    // Somebody who changes their mind is no error.
    await navigator.share(navigator.canShare?.(picture) ? picture : link).catch(() => {});
  });
}

/** A device only shares in answer to a touch, so the file has to be there in time. */
async function fetched(jobId) {
  const answer = await fetch(`/public/results/${jobId}`).catch(() => null);
  const picture = answer?.ok ? await answer.blob() : new Blob();
  return new File([picture], `${jobId}.${picture.type.split("/")[1]}`, { type: picture.type });
}

function offerCopy(button, url) {
  button.querySelector(".icon").dataset.icon = "copy";
  button.lastElementChild.textContent = t("result.copy");
  nameButton(button, t("result.copy"));
  copyOnClick(button, url);
}
