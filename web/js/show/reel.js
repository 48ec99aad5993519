/** The order of the pictures: newest first and round again; what came in since goes before. */
export class Reel {
  #pictures = [];
  #known = new Set();
  #fresh = [];
  #shown = null;

  get isEmpty() {
    return this.#pictures.length === 0;
  }

  /** Whether the picture on the stage still is one of ours. */
  get holdsShown() {
    return this.#pictures.some((picture) => picture.job_id === this.#shown);
  }

  /** The pictures there are now; true when one has come in and none before it still waits. */
  keep(found) {
    const waited = this.#fresh.length > 0;
    const newest = (one, other) => (one.finished_at < other.finished_at ? 1 : -1);
    this.#pictures = [...found].sort(newest);
    const isFirst = this.#known.size === 0;
    const arrived = this.#pictures.filter((picture) => !this.#known.has(picture.job_id));
    this.#known = new Set(this.#pictures.map((picture) => picture.job_id));
    if (!isFirst) this.#fresh.push(...arrived.reverse());
    this.#fresh = this.#fresh.filter((picture) => this.#known.has(picture.job_id));
    return !waited && this.#fresh.length > 0;
  }

  /** The picture `step` places on, or what has just arrived; undefined when there is none. */
  turn(step) {
    const place = this.#pictures.findIndex((picture) => picture.job_id === this.#shown);
    const count = this.#pictures.length;
    const arrived = step > 0 ? this.#fresh.shift() : undefined;
    const picture = arrived ?? this.#pictures.at(count && (place + step) % count);
    this.#shown = picture?.job_id ?? null;
    return picture;
  }
}
