import { part } from "../lib/dom.js";

addEventListener("dragover", refuse);
addEventListener("drop", refuse);

/** A file that misses its box would be opened in place of the page. */
function refuse(event) {
  if (event.dataTransfer.types.includes("Files")) event.preventDefault();
}

/** Makes a box with the parts `drop`, `choose` and `file` take files: dropped, pasted or chosen. */
export function takeFiles(box, take) {
  const drop = part(box, "drop");
  const input = part(box, "file");
  const offer = (files) => files?.length && take([...files]);
  part(box, "choose").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    offer(input.files);
    input.value = "";
  });
  drop.addEventListener("paste", (event) => offer(event.clipboardData.files));
  drop.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    offer(event.dataTransfer.files);
  });
}
