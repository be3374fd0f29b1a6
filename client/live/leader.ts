// One tab of a browser does what need not be done by each: it holds a lock, and when it goes the next one gets it.

/** Runs `work` while this tab leads under `name`; waits for its turn, until `signal` ends the waiting. */
export function lead(name: string, signal: AbortSignal, work: () => Promise<void>): void {
  navigator.locks.request(name, { signal }, work).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}
