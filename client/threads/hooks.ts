// How models that change by themselves are drawn.

import { useEffect, useReducer } from "preact/hooks";

interface Changing {
  subscribe(listener: () => void): () => void;
}

/** Draws again whenever one of these changes. Several changes in a row are one drawing. */
export function useChanges(...sources: readonly (Changing | undefined)[]): void {
  const [, draw] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    const ends = sources.map((one) => one?.subscribe(() => draw(undefined)));
    // What changed between the first drawing and now.
    draw(undefined);
    return () => { for (const end of ends) end?.(); };
  }, [...sources]);
}
