/** Keeps the screen on while the show is to be seen; the browser lets go of it when it is hidden. */
export function keepAwake() {
  const ask = () => !document.hidden && navigator.wakeLock?.request("screen").catch(() => {});
  document.addEventListener("visibilitychange", ask);
  ask();
}
