const STEPS = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };

/** Lets a pointer, a finger and the arrow keys go from point to point of the charts that will be drawn
 * in `box`; `told` is where the figures of the one that is looked at are said. Gives a function that
 * takes the next chart and the texts of its points. */
export function followPoints(box, told) {
  let texts = [];
  let at = null;

  const look = (place) => {
    at = place;
    for (const node of box.querySelectorAll("[data-place]")) node.classList.toggle("looked-at", Number(node.dataset.place) === place);
    told.textContent = texts[place] ?? "";
  };
  box.addEventListener("pointermove", ({ target }) => {
    const column = target.closest("[data-place]");
    if (column) look(Number(column.dataset.place));
  });
  box.addEventListener("pointerleave", () => look(null));
  box.addEventListener("blur", () => look(null));
  box.addEventListener("keydown", (event) => {
    if (!(event.key in STEPS) || texts.length === 0) return;
    event.preventDefault();
    const from = at ?? (STEPS[event.key] > 0 ? -1 : texts.length);
    look(Math.max(0, Math.min(texts.length - 1, from + STEPS[event.key])));
  });

  return (chart, labels) => {
    texts = labels;
    box.replaceChildren(chart);
    look(at !== null && at < texts.length ? at : null);
  };
}
