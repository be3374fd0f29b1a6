// Runs our own vector files, those of the other language and of this one.

export interface VectorRun {
  readonly name: string;
  /** Undefined if the case comes out as expected, otherwise what is wrong. */
  readonly run: () => Promise<string | undefined>;
}

/** The cases of one file. */
export async function runVectorFile(_file: string, _text: string): Promise<VectorRun[]> {
  return [];
}
