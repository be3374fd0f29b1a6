// One switch for the post-quantum algorithms of the browser: newer browsers bring X-Wing and ML-DSA, older ones none.
// The bytes are the same either way; a test turns the browser's own off and compares.

let allowed = true;

/** Whether the platform's own post-quantum algorithms may be used. */
export function nativeAllowed(): boolean {
  return allowed;
}

/** Turns the platform's own post-quantum algorithms on or off. */
export function allowNative(on: boolean): void {
  allowed = on;
}
