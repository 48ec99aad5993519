import { ApiError, OfflineError, signInAgain } from "../lib/api.js";

/** Posts a test shot; `uploaded` is called when the photo is there. Gives `{picture, timing, jobId}`.
 * Not by `fetch`: that one does not tell when an upload has ended. Raises `ApiError`, `OfflineError`, and
 * an `AbortError` when `signal` ends it. */
export function sendTest(id, photo, change, { uploaded, signal }) {
  const form = new FormData();
  form.append("change", JSON.stringify(change));
  form.append("file", photo);
  const request = new XMLHttpRequest();
  request.open("POST", `/api/slots/${id}/test-run`);
  request.responseType = "blob";
  request.upload.addEventListener("loadend", uploaded);
  signal.addEventListener("abort", () => request.abort());
  return new Promise((resolve, reject) => {
    request.addEventListener("error", () => reject(new OfflineError("no answer")));
    request.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
    request.addEventListener("load", () => answer(request).then(resolve, reject));
    request.send(form);
  });
}

async function answer(request) {
  const header = (name) => request.getResponseHeader(name);
  if (request.status === 200) {
    return { picture: request.response, timing: header("Server-Timing"), jobId: header("X-Job-Id") };
  }
  const body = await request.response.text().then(JSON.parse).catch(() => ({}));
  const error = new ApiError(request.status, body, Number(header("Retry-After")) || null);
  if (error.reason === "unauthorized") return signInAgain(error);
  throw error;
}
