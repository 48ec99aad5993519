/** What stands for a job nobody knows. */
export const UNKNOWN = { status: "unknown" };

/** How a guest sees a job at this moment: `pending`, `shown`, `failed`, `expired`, `deleted`, `unknown`. */
export function stateOf(job) {
  if (job.status === "timeout") return "failed";
  if (job.status !== "done") return job.status;
  if (job.expires_at === null) return "unknown";
  if (new Date(job.expires_at) <= Date.now()) return "expired";
  return job.result_url === null ? "deleted" : "shown";
}
