import { remove } from "../lib/api.js";
import { arrange } from "../lib/arrange.js";
import { confirmed } from "../lib/confirm.js";
import { byId, clone, part, write } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { explain } from "../lib/refusals.js";
import { ago, dateAndMinute } from "../lib/time.js";
import { toast } from "../lib/toast.js";
import { copyOnClick } from "../parts/copy.js";
import { showCode } from "./code.js";

const LIGHTS = { running: "ok", expired: "idle", revoked: "off" };
const cards = new Map();

/** Links that open something, and below those that no longer do. */
export function showShares(shares, names, refresh) {
  const all = shares.map((share) => [stateOf(share), cardOf(share, names, refresh)]);
  const running = all.filter(([state]) => state === "running").map(([, card]) => card);
  const over = all.filter(([state]) => state !== "running").map(([, card]) => card);
  arrange(byId("running"), running);
  arrange(byId("over"), over);
  byId("running").setAttribute("aria-busy", "false");
  byId("none").hidden = running.length > 0;
  byId("ended").hidden = over.length === 0;
  byId("ended-count").textContent = t("shares.ended_count", { count: over.length });
}

function stateOf(share) {
  if (share.revoked_at) return "revoked";
  return new Date(share.expires_at) <= Date.now() ? "expired" : "running";
}

function cardOf(share, names, refresh) {
  if (!cards.has(share.id)) cards.set(share.id, made(share, refresh));
  const card = cards.get(share.id);
  const state = stateOf(share);
  const moment = state === "revoked" ? share.revoked_at : share.expires_at;
  card.dataset.status = LIGHTS[state];
  part(card, "light").dataset.icon = LIGHTS[state];
  part(card, "actions").hidden = state !== "running";
  write(card, {
    label: share.label || t("shares.no_label"),
    what: what(share, names),
    state: t(`shares.state_${state}`, { at: dateAndMinute(moment), when: ago(moment) }),
  });
  return card;
}

function what(share, names) {
  const slot = share.slot_id ? `${names.get(share.slot_id)} (${share.slot_id})` : t("shares.all");
  return t("shares.made", { slot, admin: share.created_by, at: dateAndMinute(share.created_at) });
}

function made(share, refresh) {
  const card = clone("share");
  part(card, "open").href = share.page_url;
  part(card, "show").href = share.show_url;
  copyOnClick(part(card, "copy"), share.page_url);
  part(card, "code").addEventListener("click", () => showCode(share));
  part(card, "revoke").addEventListener("click", () => revoke(share, refresh));
  return card;
}

async function revoke(share, refresh) {
  const asked = {
    title: t("shares.revoke_title", { label: share.label || t("shares.no_label") }),
    text: t("shares.revoke_text"),
    action: t("shares.revoke"),
  };
  if (!(await confirmed(asked))) return;
  try {
    await remove(`/api/shares/${share.id}`);
    toast(t("shares.revoked"));
  } catch (error) {
    toast(explain(error), "bad");
  }
  await refresh();
}
