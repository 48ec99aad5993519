import { byId, el } from "../lib/dom.js";
import { seconds } from "../lib/figures.js";
import { t } from "../lib/i18n.js";
import { draw } from "../lib/svg.js";

const STAGES = ["upload", "queue", "provider", "store"];
const WIDTH = 1000;
const HEIGHT = 40;

/** The stages of a shot, drawn to scale in its window; the figures stand below. */
export function showLine(job) {
  const windowMs = job.deadline_at ? new Date(job.deadline_at) - new Date(job.created_at) : job.total_ms;
  const all = Math.max(windowMs ?? 0, job.total_ms ?? 0, 1);
  let start = 0;
  const bars = STAGES.map((stage) => {
    const width = ((job[`${stage}_ms`] ?? 0) / all) * WIDTH;
    const bar = rectangle(start, width, `stage-${stage}`);
    start += width;
    return bar;
  });
  byId("line").replaceChildren(rectangle(0, WIDTH, "stage-window"), ...bars);
  byId("line").setAttribute("aria-label", t("job.line", { total: seconds(job.total_ms), window: seconds(windowMs) }));
  const known = STAGES.filter((stage) => job[`${stage}_ms`] !== null);
  byId("legend").replaceChildren(...known.map((stage) => entry(stage, job[`${stage}_ms`])), entry("total", job.total_ms));
}

const rectangle = (x, width, name) => draw("rect", { x, y: 0, width, height: HEIGHT, class: name });

function entry(stage, ms) {
  return el("div", { class: `stage-${stage}` }, el("dt", {}, t(`slot.stage.${stage}`)), el("dd", {}, seconds(ms)));
}
