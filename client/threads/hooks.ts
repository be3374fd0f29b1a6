// How models that change by themselves are drawn.

import { useEffect, useReducer, useState } from "preact/hooks";

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

/** The values of the address after the question mark, and what changes them: each change is a step that Back takes back. */
export function useAddress(): readonly [URLSearchParams, (change: Readonly<Record<string, string | null>>) => void] {
  const [search, setSearch] = useState(location.search);
  useEffect(() => {
    const moved = (): void => setSearch(location.search);
    addEventListener("popstate", moved);
    return () => removeEventListener("popstate", moved);
  }, []);
  return [new URLSearchParams(search), (change) => {
    const next = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(change)) {
      if (value === null) next.delete(name);
      else next.set(name, value);
    }
    const text = next.size === 0 ? "" : `?${next.toString()}`;
    if (text === location.search) return;
    history.pushState(null, "", location.pathname + text);
    setSearch(text);
    scrollTo(0, 0);
  }];
}
