import { request } from "../lib/api.js";

/** The address of the QR code that takes a picture's page to a phone, with the key of who has it. The
 * key travels in a header, so an image's own request would not do; revoke the address after use. */
export async function drawnCode(jobId, key) {
  const headers = key ? { "X-Delete-Key": key } : {};
  const answer = await request(`/public/results/${jobId}/qr`, { headers });
  return URL.createObjectURL(await answer.blob());
}
