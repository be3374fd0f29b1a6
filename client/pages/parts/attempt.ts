// A form that asks the server for something: one attempt at a time, and what became of it.

import { useState } from "preact/hooks";

import { isCode } from "../../live/api.ts";
import { troubleWords } from "../../frame/page.tsx";

/** How the last attempt of a form stands. */
export interface Attempt {
  readonly busy: boolean;
  /** What went wrong, in words; undefined: nothing. */
  readonly problem: string | undefined;
  /** It takes a fresh sign-in first. */
  readonly stale: boolean;
  /** Says what is wrong before anything is asked for; undefined takes back what was said. */
  readonly say: (problem: string | undefined) => void;
  /** Runs an act and keeps what it throws in words. Does nothing while another one runs. */
  readonly run: (act: () => Promise<void>) => Promise<void>;
}

/** The attempts of one form; `words` says what is thrown where the common words do not do. */
export function useAttempt(words: (error: unknown) => string = troubleWords): Attempt {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | undefined>(undefined);
  const [stale, setStale] = useState(false);
  const say = (said: string | undefined): void => {
    setStale(false);
    setProblem(said);
  };
  const run = async (act: () => Promise<void>): Promise<void> => {
    if (busy) return;
    say(undefined);
    setBusy(true);
    try {
      await act();
    } catch (error) {
      if (isCode(error, "step-up")) setStale(true);
      else setProblem(words(error));
    } finally {
      setBusy(false);
    }
  };
  return { busy, problem, stale, say, run };
}
