import { get, post } from "../lib/api.js";
import { confirmed } from "../lib/confirm.js";
import { byId, clone, part } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { explain } from "../lib/refusals.js";
import { dateTime } from "../lib/time.js";
import { toast } from "../lib/toast.js";
import { showDifferences } from "../parts/diff.js";
import { nameOf } from "../parts/outcome.js";

/** The versions of a slot, newest first, each against the one before it. `restored` gets the slot
 * when an old one has been made the newest. */
export class History {
  #id;
  #restored;
  #known = [];
  #asked = 0;

  constructor(id, restored) {
    this.#id = id;
    this.#restored = restored;
    byId("older").addEventListener("click", () => this.#load(this.#known.at(-1).version));
  }

  refresh() {
    return this.#load();
  }

  /** The newest, or those before a version. Who asks again no longer wants the first answer. */
  async #load(before) {
    const place = before ? `?before=${before}` : "";
    const asked = (this.#asked += 1);
    try {
      const { versions, next_before: next } = await get(`/api/slots/${this.#id}/versions${place}`);
      if (asked !== this.#asked) return;
      this.#known = before ? [...this.#known, ...versions] : versions;
      byId("older").hidden = next === null;
      // What the last one changed is known with the one before it.
      const shown = next === null ? this.#known : this.#known.slice(0, -1);
      byId("versions").replaceChildren(...shown.map((_one, index) => this.#entry(index)));
    } catch (error) {
      toast(explain(error), "bad");
    }
  }

  #entry(index) {
    const [version, before] = [this.#known[index], this.#known[index + 1]];
    const node = clone("version");
    part(node, "number").textContent = t("slot.version", { version: version.version });
    part(node, "who").textContent = `${nameOf("author", version.created_by)}, ${dateTime(version.created_at)}`;
    const differs = showDifferences(node, before?.snapshot ?? version.snapshot, version.snapshot);
    part(node, "same").hidden = differs;
    part(node, "same").textContent = t(before ? "slot.diff.same" : "slot.diff.first");
    node.querySelector("table").hidden = !differs;
    part(node, "restore").hidden = index === 0;
    part(node, "restore").addEventListener("click", () => this.#restore(version));
    return node;
  }

  async #restore({ version }) {
    const isMeant = await confirmed({
      title: t("slot.restore_title", { version }),
      text: t("slot.restore_text"),
      action: t("slot.restore"),
      isDangerous: false,
    });
    if (!isMeant) return;
    try {
      this.#restored(await post(`/api/slots/${this.#id}/versions/${version}/restore`));
      toast(t("slot.restored", { version }));
    } catch (error) {
      toast(explain(error), "bad");
    }
  }
}
