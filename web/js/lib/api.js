import * as connection from "./connection.js";

/** A refusal in the service's one shape. `errors` are `{path, code, params, message}` of fields
 * that do not fit. */
export class ApiError extends Error {
  constructor(status, body, retryAfter) {
    super(body.details ?? `HTTP ${status}`);
    this.status = status;
    this.reason = body.failure_reason ?? "internal_error";
    this.details = body.details ?? "";
    this.errors = body.errors ?? [];
    this.version = body.version;
    this.jobId = body.job_id;
    this.retryAfter = retryAfter;
  }

  /** Whether to ask again as before cannot help. */
  get isFinal() {
    return this.status < 500 && this.status !== 429;
  }
}

/** The service could not be reached at all. */
export class OfflineError extends Error {}

let isTyping = () => false;
let isLeaving = false;
let sent = 0;
let sentWhenOver = 0;

/** The answer, whatever it holds. `json` is sent as JSON, `form` as a form. Raises `ApiError`,
 * `OfflineError`; for a session that is over see `signInAgain`. */
export async function request(path, { method = "GET", json, form, headers = {}, signal } = {}) {
  const options = { method, headers: { Accept: "application/json", ...headers }, body: form, signal };
  if (json !== undefined) {
    options.body = JSON.stringify(json);
    options.headers["Content-Type"] = "application/json";
  }
  const place = (sent += 1);
  const response = await reach(path, options);
  if (response.ok) {
    // What was sent before the session ended proves nothing when its answer comes late.
    if (place > sentWhenOver) tellSession({ isOver: false });
    return response;
  }
  const error = await refusal(response);
  if (error.reason === "unauthorized") return signInAgain(error);
  throw error;
}

export const get = async (path, options) => (await request(path, options)).json();
export const put = async (path, json) => (await request(path, { method: "PUT", json })).json();
export const post = async (path, json) => (await request(path, { method: "POST", json })).json();
export const remove = (path) => request(path, { method: "DELETE" });

async function reach(path, options) {
  try {
    const response = await fetch(path, options);
    connection.found();
    return response;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    connection.lost();
    throw new OfflineError(error.message);
  }
}

async function refusal(response) {
  const body = await response.json().catch(() => ({}));
  return new ApiError(response.status, body, Number(response.headers.get("Retry-After")) || null);
}

/** Ends the session. From then on nothing that is refused for it leads anywhere. Raises as `request` does. */
export async function signOut() {
  isLeaving = true;
  try {
    await request("/api/logout", { method: "POST" });
  } catch (error) {
    isLeaving = false;
    throw error;
  }
}

/** The session is over: leads to the sign-in and back here, and never comes back itself. While something
 * is typed that would be lost by that, the page stays, its frame says why, and `error` is raised. */
export function signInAgain(error) {
  if (isLeaving) return new Promise(() => {});
  if (isTyping()) {
    sentWhenOver = sent;
    tellSession({ isOver: true });
    throw error;
  }
  const here = location.pathname + location.search;
  location.assign(`/login?next=${encodeURIComponent(here)}`);
  return new Promise(() => {});
}

/** The page is not left for the sign-in while `isTyped()`. */
export function stayWhile(isTyped) {
  isTyping = isTyped;
}

const tellSession = (detail) => dispatchEvent(new CustomEvent("session", { detail }));
