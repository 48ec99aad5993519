import { get } from "../lib/api.js";
import { byId, part } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { readyForAdmin } from "../lib/page.js";
import { poll } from "../lib/poll.js";
import { showTrouble } from "../lib/refusals.js";
import { showCode } from "../shares/code.js";
import { openForm, takeOrders } from "../shares/form.js";
import { showShares } from "../shares/list.js";

const SECONDS = 30;
const LOOPBACK = ["localhost", "127.0.0.1", "[::1]"];

takeOrders(async (share) => {
  await refresh();
  showCode(share);
});
const session = readyForAdmin();
const refresh = poll({ load, show, fail: showTrouble, seconds: SECONDS });
const { public_base_url: base } = await session;
warnIfLocal(new URL(base).hostname);

async function load() {
  const [{ shares }, { slots }] = await Promise.all([get("/api/shares"), get("/api/slots")]);
  return { shares, names: new Map(slots.map((slot) => [slot.id, slot.name])) };
}

function show({ shares, names }) {
  byId("trouble").hidden = true;
  openForm(names);
  showShares(shares, names, refresh);
}

/** A code that leads to this very machine is of no use to a phone. */
function warnIfLocal(host) {
  byId("local").hidden = !LOOPBACK.includes(host);
  part(byId("local"), "text").textContent = t("shares.local", { host });
}
