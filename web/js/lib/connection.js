import { Backoff } from "./backoff.js";

const events = new EventTarget();
const backoff = new Backoff();
let here = true;
let probe;

export const isHere = () => here;

/** Calls back with true when the house can be reached again, with false when it no longer can. */
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
