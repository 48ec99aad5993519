import { byId, nameButton } from "../lib/dom.js";
import { t } from "../lib/i18n.js";

const HIDE_SECONDS = 3;

/** Buttons that come when somebody moves the pointer, and keys: arrows, space, F. */
export function offerControls({ turn, pause }) {
  let isPaused = false;
  const setPaused = (paused) => {
    isPaused = paused;
    pause(paused);
    label(paused);
  };
  const keys = {
    ArrowLeft: () => turn(-1),
    ArrowRight: () => turn(1),
    " ": () => setPaused(!isPaused),
    f: toggleFull,
  };
  byId("pause").addEventListener("click", () => setPaused(!isPaused));
  byId("full").addEventListener("click", toggleFull);
  addEventListener("keydown", (event) => {
    if (event.target instanceof HTMLButtonElement && event.key === " ") return;
    keys[event.key]?.();
  });
  label(false);
  showAWhile();
}

function label(isPaused) {
  const button = byId("pause");
  button.firstElementChild.dataset.icon = isPaused ? "play" : "pause";
  nameButton(button, t(isPaused ? "show.go_on" : "show.pause"));
}

function toggleFull() {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen?.().catch(() => {});
}

function showAWhile() {
  let timer;
  const show = () => {
    clearTimeout(timer);
    byId("main").dataset.moved = "";
    timer = setTimeout(() => delete byId("main").dataset.moved, HIDE_SECONDS * 1000);
  };
  addEventListener("pointermove", show);
  show();
}
