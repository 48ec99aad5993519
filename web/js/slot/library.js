import { get, remove, request } from "../lib/api.js";
import { confirmed } from "../lib/confirm.js";
import { byId, clone, part } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { explain } from "../lib/refusals.js";

/** Sends an image to be kept; the template as the API tells it. */
export async function upload(file) {
  const form = new FormData();
  form.append("file", file);
  return (await request("/api/template-media", { method: "POST", form })).json();
}

/** Shows every template there is; gives the chosen one, or null. */
export async function chooseTemplate() {
  const dialog = byId("library");
  let chosen = null;
  const pick = (template) => {
    chosen = template;
    dialog.close();
  };
  part(dialog, "close").onclick = () => dialog.close();
  part(dialog, "problem").textContent = "";
  part(dialog, "tiles").replaceChildren();
  part(dialog, "empty").hidden = true;
  dialog.showModal();
  await show(dialog, pick);
  if (!dialog.open) return chosen;
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(chosen), { once: true });
  });
}

async function show(dialog, pick) {
  try {
    const { templates } = await get("/api/template-media");
    part(dialog, "tiles").replaceChildren(...templates.map((one) => tile(dialog, one, pick)));
    part(dialog, "empty").hidden = templates.length > 0;
  } catch (error) {
    part(dialog, "problem").textContent = explain(error);
  }
}

function tile(dialog, template, pick) {
  const node = clone("library-tile");
  part(node, "picture").src = `/api/template-media/${template.id}/preview`;
  part(node, "users").textContent = template.used_by.join(", ") || t("slot.library.unused");
  part(node, "use").addEventListener("click", () => pick(template));
  part(node, "remove").addEventListener("click", async () => {
    part(dialog, "problem").textContent = "";
    if (!(await isMeant())) return;
    try {
      await remove(`/api/template-media/${template.id}`);
    } catch (error) {
      part(dialog, "problem").textContent = explain(error);
    }
    await show(dialog, pick);
  });
  return node;
}

function isMeant() {
  return confirmed({
    title: t("slot.library.remove_title"),
    text: t("slot.library.remove_text"),
    action: t("slot.library.remove"),
  });
}
