import { clone, el, part } from "../lib/dom.js";
import { has, t } from "../lib/i18n.js";
import { clearProblem, showProblem } from "../lib/problems.js";
import { explain } from "../lib/refusals.js";
import { takeFiles } from "../parts/drop.js";
import { chooseTemplate, upload } from "./library.js";

/** The template images of a plan, each in a role. */
export class Templates {
  #node;
  #path;
  #uses = [];
  #roles = [];

  constructor(node, path) {
    this.#node = node;
    this.#path = path;
    part(node, "drop").dataset.path = path;
    takeFiles(node, (files) => this.#upload(files));
    part(node, "library").addEventListener("click", async () => {
      const chosen = await chooseTemplate();
      if (chosen) this.#add(chosen);
    });
  }

  show(uses) {
    this.#uses = uses.map((use) => ({ ...use }));
  }

  /** Only those in a role the operation knows; the others are kept in mind. */
  read() {
    return this.#uses.filter((use) => this.#roles.includes(use.role));
  }

  allow({ required_roles: required, optional_roles: optional, max_templates: most }) {
    this.#roles = [...required, ...optional];
    for (const use of this.#uses) if (!this.#roles.includes(use.role)) use.role = this.#free() ?? use.role;
    this.#node.hidden = this.#roles.length === 0;
    const words = (roles) => roles.map(roleName).join(", ");
    part(this.#node, "roles").textContent = [
      required.length && t("slot.templates.required", { roles: words(required) }),
      optional.length && t("slot.templates.optional", { roles: words(optional) }),
      t("slot.templates.most", { count: most }),
    ]
      .filter(Boolean)
      .join(" ");
    this.#draw();
  }

  async #upload(files) {
    const drop = part(this.#node, "drop");
    const problems = [];
    drop.setAttribute("aria-busy", "true");
    for (const file of files) {
      try {
        this.#add(await upload(file));
      } catch (error) {
        problems.push(`${file.name}: ${explain(error)}`);
      }
    }
    drop.removeAttribute("aria-busy");
    if (problems.length) showProblem(drop, problems.join("\n"));
  }

  #add(template) {
    this.#uses.push({ role: this.#free() ?? this.#roles[0], media_id: template.id });
    this.#draw();
    this.#changed();
  }

  #free() {
    return this.#roles.find((role) => !this.#uses.some((use) => use.role === role));
  }

  #draw() {
    const shown = this.#uses.filter((use) => this.#roles.includes(use.role));
    part(this.#node, "tiles").replaceChildren(...shown.map((use, index) => this.#tile(use, index)));
  }

  #tile(use, index) {
    const tile = clone("tile");
    part(tile, "picture").src = `/api/template-media/${use.media_id}/preview`;
    const role = part(tile, "role");
    role.name = `${this.#path}[${index}].role`;
    role.append(...this.#roles.map((name) => el("option", { value: name }, roleName(name))));
    role.value = use.role;
    const remove = part(tile, "remove");
    const nameRemove = () => remove.setAttribute("aria-label", t("slot.templates.remove", { role: roleName(use.role) }));
    nameRemove();
    role.addEventListener("change", () => {
      use.role = role.value;
      nameRemove();
    });
    remove.addEventListener("click", () => {
      this.#uses.splice(this.#uses.indexOf(use), 1);
      this.#draw();
      this.#changed();
      part(this.#node, "choose").focus();
    });
    return tile;
  }

  #changed() {
    clearProblem(part(this.#node, "drop"));
    this.#node.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

function roleName(role) {
  return has(`role.${role}`) ? t(`role.${role}`) : role;
}
