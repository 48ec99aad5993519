/** Asks before what was typed is left; not on the way to the sign-in, which leads back to it. */
export function guardLeaving(isChanged) {
  let isSignedOut = false;
  addEventListener("signedout", () => (isSignedOut = true));
  addEventListener("beforeunload", (event) => {
    if (isChanged() && !isSignedOut) event.preventDefault();
  });
}
