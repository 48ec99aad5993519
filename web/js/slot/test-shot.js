import { ApiError, get } from "../lib/api.js";
import { pair, part } from "../lib/dom.js";
import { seconds } from "../lib/figures.js";
import { t } from "../lib/i18n.js";
import { retried } from "../lib/poll.js";
import { showProblems } from "../lib/problems.js";
import { explain } from "../lib/refusals.js";
import { takeFiles } from "../parts/drop.js";
import { Compare } from "./compare.js";
import { sendTest } from "./send.js";
import { Webcam } from "./webcam.js";

const TICK_MS = 100;
const PARTS = ["drop", "live", "progress", "outcome"];
const TRIED = ["provider", "operation", "settings", "templates", "fallback", "output",
  "sync_response_seconds", "max_side_px"];

/** A test shot with the form as it stands, saved or not: stages while it runs, then before and after. */
export class TestShot {
  #box;
  #form;
  #slot;
  #compare;
  #webcam;
  #window;

  constructor(box, form, slot) {
    this.#box = box;
    this.#form = form;
    this.#slot = slot;
    this.#compare = new Compare(part(box, "outcome"));
    this.#webcam = new Webcam(part(box, "video"));
    this.#on("camera", () => this.#openWebcam());
    this.#on("stop", () => this.#closeWebcam());
    this.#on("shoot", () => this.#shoot());
    this.#on("again", () => this.#see("drop"));
    this.#open();
  }

  /** Photos are taken once the service's window is known. */
  async #open() {
    this.#window = (await retried(() => get("/api/settings"))).sync_response_seconds;
    takeFiles(this.#box, ([photo]) => this.#run(photo));
    part(this.#box, "choose").disabled = part(this.#box, "camera").disabled = false;
  }

  #on(name, listener) {
    part(this.#box, name).addEventListener("click", listener);
  }

  #see(...names) {
    for (const name of PARTS) part(this.#box, name).hidden = !names.includes(name);
  }

  async #openWebcam() {
    const [live, shoot] = [part(this.#box, "live"), part(this.#box, "shoot")];
    shoot.disabled = true;
    this.#see("live");
    try {
      await this.#webcam.start();
      if (live.hidden) return this.#webcam.stop();
      shoot.disabled = false;
      shoot.focus();
    } catch {
      this.#closeWebcam();
      this.#tell("bad", t("slot.test_shot.no_camera"));
    }
  }

  #closeWebcam() {
    this.#webcam.stop();
    this.#see("drop");
  }

  async #shoot() {
    part(this.#box, "shoot").disabled = true;
    const photo = await this.#webcam.shoot();
    this.#closeWebcam();
    await this.#run(photo);
  }

  async #run(photo) {
    const fields = this.#form.read();
    const change = Object.fromEntries(TRIED.map((name) => [name, fields[name]]));
    const end = new AbortController();
    const clock = this.#start(end, fields.sync_response_seconds ?? this.#window);
    try {
      const uploaded = () => this.#tell("busy", t("slot.test_shot.editing"));
      const shot = await sendTest(this.#slot.id, photo, change, { uploaded, signal: end.signal });
      this.#show(photo, shot);
    } catch (error) {
      this.#fail(error);
    } finally {
      clearInterval(clock);
      part(this.#box, "cancel").hidden = true;
    }
  }

  #start(end, windowSeconds) {
    this.#see("progress");
    this.#tell("busy", t("slot.test_shot.uploading"));
    part(this.#box, "cancel").hidden = false;
    part(this.#box, "cancel").onclick = () => end.abort();
    const meter = part(this.#box, "meter");
    Object.assign(meter, { max: windowSeconds, low: 0.8 * windowSeconds, high: 0.95 * windowSeconds, optimum: 0 });
    const began = performance.now();
    const tick = () => {
      const ms = performance.now() - began;
      meter.value = ms / 1000;
      part(this.#box, "time").textContent = t("slot.test_shot.of", { value: seconds(ms), window: windowSeconds });
    };
    tick();
    return setInterval(tick, TICK_MS);
  }

  #show(photo, { picture, timing, jobId }) {
    this.#tell("ok", t("slot.test_shot.done"));
    this.#see("progress", "outcome");
    this.#compare.show(photo, picture);
    const stages = [...timing.matchAll(/(\w+);dur=(\d+)/g)].map(([, name, ms]) => stage(name, Number(ms)));
    part(this.#box, "stages").replaceChildren(...stages);
    part(this.#box, "story").href = `/journal/${jobId}`;
  }

  #fail(error) {
    this.#see("progress", "drop");
    if (error.name === "AbortError") return this.#tell("off", t("slot.test_shot.cancelled"));
    const homeless = error instanceof ApiError ? showProblems(this.#form.node, error.errors) : [];
    this.#tell("bad", [explain(error), ...homeless].join(" "));
  }

  #tell(status, words) {
    part(this.#box, "progress").hidden = false;
    part(this.#box, "status").dataset.status = status;
    part(this.#box, "light").dataset.icon = status;
    part(this.#box, "words").textContent = words;
  }
}

function stage(name, ms) {
  return pair(t(`slot.stage.${name}`), seconds(ms));
}
