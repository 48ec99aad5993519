const LEAST_PX = 40;

/** Calls `turn` with 1 for a stroke to the left, -1 for one to the right. */
export function onSwipe(node, turn) {
  let start = null;
  node.addEventListener("touchstart", (event) => {
    start = event.touches.length === 1 ? event.touches[0].clientX : null;
  }, { passive: true });
  node.addEventListener("touchend", (event) => {
    if (start === null) return;
    const way = event.changedTouches[0].clientX - start;
    if (Math.abs(way) > LEAST_PX) turn(way < 0 ? 1 : -1);
  });
}
