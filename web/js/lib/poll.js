import { ApiError } from "./api.js";
import { Backoff, onChange } from "./connection.js";
import { loaded } from "./i18n.js";

/** Calls `load` now and then every `seconds`, never twice at once: `show` gets what it gave, `fail`
 * its error; neither before there are words for it. Rests while the page is hidden; after a failure
 * it waits longer and longer, and goes on at once when the connection is back. Gives a function that
 * loads out of turn: at once, or as soon as the load that runs has ended. */
export function poll({ load, show, fail, seconds }) {
  const backoff = new Backoff();
  let timer;
  let running = false;
  let isAskedAgain = false;

  async function turn() {
    clearTimeout(timer);
    isAskedAgain = running;
    if (running || document.hidden) return;
    running = true;
    let wait = seconds * 1000;
    try {
      const found = await load();
      await loaded;
      show(found);
      backoff.reset();
    } catch (error) {
      await loaded;
      wait = Math.max(backoff.next(), (error.retryAfter ?? 0) * 1000);
      fail(error);
    } finally {
      running = false;
      timer = setTimeout(turn, isAskedAgain ? 0 : wait);
    }
  }

  document.addEventListener("visibilitychange", turn);
  onChange((isHere) => isHere && turn());
  turn();
  return turn;
}

/** What `load` gives, or the `ApiError` that refuses it for good; only what may pass is tried again,
 * and `fail` is told of it. */
export function settled(load, fail) {
  const known = (error) => {
    if (error instanceof ApiError && error.status < 500) return error;
    throw error;
  };
  return retried(() => load().catch(known), fail);
}

/** What `load` gives, however often it has to be tried; `fail` is told why it has to be. */
export function retried(load, fail = () => {}) {
  const backoff = new Backoff();
  const again = async (error) => {
    await loaded;
    fail(error);
    await new Promise((resolve) => setTimeout(resolve, backoff.next()));
    return attempt();
  };
  const attempt = () => load().catch(again);
  return attempt();
}
