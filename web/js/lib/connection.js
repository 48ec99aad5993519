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

/** What `load` gives, however often it has to be tried; `fail` is told why it has to be. */
export async function persist(load, fail = () => {}) {
  const backoff = new Backoff();
  for (;;) {
    try {
      return await load();
    } catch (error) {
      await fail(error);
      await new Promise((resolve) => setTimeout(resolve, backoff.next()));
    }
  }
}

const events = new EventTarget();
const backoff = new Backoff();
let here = true;
let probe;

export const isHere = () => here;

/** Calls back with true when the service can be reached again, with false when it no longer can. */
export function onChange(listener) {
  events.addEventListener("change", () => listener(here));
}

export function found() {
  clearTimeout(probe);
  backoff.reset();
  change(true);
}

export function lost() {
  change(false);
  clearTimeout(probe);
  probe = setTimeout(knock, backoff.next());
}

async function knock() {
  const answer = await fetch("/livez", { cache: "no-store" }).catch(() => null);
  if (answer?.ok) found();
  else lost();
}

function change(now) {
  if (here === now) return;
  here = now;
  events.dispatchEvent(new Event("change"));
}

addEventListener("online", knock);
addEventListener("offline", lost);
