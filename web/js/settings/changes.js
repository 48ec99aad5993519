import { byId, pair } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { dateTime } from "../lib/time.js";
import { nameOf } from "../parts/outcome.js";

/** Who changed each setting last, and when. */
export function showChanges(changes) {
  const told = Object.entries(changes).map(([name, { updated_at: at, updated_by: by }]) => pair(t(`settings.${name}`), `${nameOf("author", by)}, ${dateTime(at)}`));
  byId("changes").replaceChildren(...told);
}
