import { get, OfflineError, request } from "../lib/api.js";
import { lines } from "../lib/lines.js";

/** How many slots would take a test photo. */
export async function activeSlots() {
  const { slots } = await get("/api/slots");
  return slots.filter((slot) => slot.is_active).length;
}

/** Runs the preflight and tells what comes: `plan` gets the checks, `finding` each finding, `light`
 * the end of it. Raises what `request` raises, `OfflineError` also when the answer was cut off. */
export async function run(shots, { plan, finding, light }) {
  const response = await request("/api/preflight", { method: "POST", json: { shots } });
  let isComplete = false;
  try {
    for await (const line of lines(response)) {
      if (line.checks) plan(line.checks);
      else if ("ready" in line) light(line);
      else finding(line);
      isComplete = "ready" in line;
    }
  } catch (error) {
    throw error instanceof TypeError ? new OfflineError(error.message) : error;
  }
  if (!isComplete) throw new OfflineError("cut off");
}
