const FIRST_MS = 1000;
const LONGEST_MS = 20_000;

/** How long to wait before the next try: twice as long each time, a little different for everyone. */
export class Backoff {
  #tries = 0;

  next() {
    const ms = Math.min(LONGEST_MS, FIRST_MS * 2 ** this.#tries++);
    return ms * (0.75 + Math.random() / 2);
  }

  reset() {
    this.#tries = 0;
  }
}
