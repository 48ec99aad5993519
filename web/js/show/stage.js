import { byId, el } from "../lib/dom.js";

let wanted = null;

/** Shows a picture once it is wholly there, unless another is wanted by then; the one before stays
 * until it is covered. */
export async function putOnStage(picture) {
  wanted = picture;
  const image = el("img", { alt: "", src: `/public/results/${picture.job_id}` });
  image.dataset.job = picture.job_id;
  try {
    await image.decode();
  } catch {
    // It expired, or the network is away: the one before stays.
    return;
  }
  if (wanted !== picture) return;
  const stage = byId("slides");
  const before = [...stage.children];
  stage.append(image);
  image.getBoundingClientRect();
  image.classList.add("on");
  const [fading] = image.getAnimations();
  await fading?.finished.catch(() => {});
  for (const old of before) old.remove();
}

export function clearStage() {
  wanted = null;
  byId("slides").replaceChildren();
}
