import { ApiError } from "./api.js";
import { Backoff, onChange, persist } from "./connection.js";
import { loaded } from "./i18n.js";

/** Calls `load` now and then every `seconds`, never twice at once: `show` gets what it gave, `fail`
 * its error; neither before there are words for it. Rests while the page is hidden; after a failure
 * it waits longer and longer, and goes on at once when the connection is back. Gives a function that
 * loads out of turn, at once or as soon as the load that runs has ended; it is fulfilled when what was
 * loaded since the call is shown. */
export function poll({ load, show, fail, seconds }) {
  const backoff = new Backoff();
  let timer;
  let running = null;
  let following = null;

  function turn() {
    clearTimeout(timer);
    if (running) return (following ??= running.then(follow, follow));
    if (!document.hidden) running = once();
    return running;
  }

  function follow() {
    following = null;
    return turn();
  }

  async function once() {
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
      running = null;
      timer = setTimeout(turn, wait);
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
    if (error instanceof ApiError && error.isFinal) return error;
    throw error;
  };
  return retried(() => load().catch(known), fail);
}

/** What `load` gives, however often it has to be tried; `fail` is told why, once there are words for it. */
export function retried(load, fail = () => {}) {
  return persist(load, async (error) => {
    await loaded;
    fail(error);
  });
}
