const place = (jobId) => `delete-key:${jobId}`;

/** The key that deletes the picture, or null. It comes with the link once and moves from the address
 * into this browser: who copies the address from the bar gives only the picture away. */
export function takeKey(jobId) {
  const given = location.hash.slice(1);
  if (given) {
    localStorage.setItem(place(jobId), given);
    history.replaceState(null, "", location.pathname);
  }
  return localStorage.getItem(place(jobId));
}

export const forgetKey = (jobId) => localStorage.removeItem(place(jobId));
