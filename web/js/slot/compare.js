import { part } from "../lib/dom.js";

/** Two pictures over each other; the slider moves the edge between them. */
export class Compare {
  #box;
  #addresses = [];

  constructor(box) {
    this.#box = box;
    const cut = part(box, "cut");
    const before = part(box, "before");
    cut.addEventListener("input", () => before.style.setProperty("--cut", `${100 - cut.value}%`));
    before.addEventListener("error", () => this.#hideBefore(true));
  }

  show(before, after) {
    this.#addresses.forEach(URL.revokeObjectURL);
    this.#addresses = [before, after].map((file) => URL.createObjectURL(file));
    this.#hideBefore(false);
    part(this.#box, "before").src = this.#addresses[0];
    part(this.#box, "after").src = this.#addresses[1];
  }

  /** Not every browser can show every photo: HEIC is shown by none but Apple's. */
  #hideBefore(isHidden) {
    part(this.#box, "before").hidden = part(this.#box, "slider").hidden = isHidden;
  }
}
