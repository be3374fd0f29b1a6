// Why something is refused. The words are those of docs/protocol.md, section "Reasons"; both languages use the same ones.

/** Faults after which a thread ends at the record before. */
export const ENDING_REASONS = [
  "form", "version", "type", "thread", "sequence", "chain", "unknown device", "unknown user", "certificate",
  "revoked", "epoch number", "suite", "creator", "membership", "duplicate", "member key", "commitment reused",
  "wrap list", "wrap hash", "signature", "epoch", "not a member", "ciphertext hash", "history", "redact",
  "rollback", "fork",
] as const;

/** Faults that only a reader sees: one epoch or one message cannot be read, the thread goes on. */
export const READER_REASONS = [
  "wrap", "epoch commitment", "key commitment", "aead", "padding", "frank", "body",
] as const;

/** Further faults of what lies beside the threads: revocations, objects, recovery, attachments. */
export const OTHER_REASONS = ["revocation", "object", "parameters", "code", "attachment"] as const;

export type EndingReason = (typeof ENDING_REASONS)[number];
export type ReaderReason = (typeof READER_REASONS)[number];
export type OtherReason = (typeof OTHER_REASONS)[number];
export type Reason = EndingReason | ReaderReason | OtherReason;

/**
 * A refusal with its one reason. Public functions of this folder return it as a value; only the small readers
 * inside throw it, and `attempt` turns it back into a value at the edge.
 */
export class Refused extends Error {
  readonly reason: Reason;
  /** The sequence number of the record at fault, where there is one. */
  readonly seq: number | undefined;

  constructor(reason: Reason, detail = "", seq?: number) {
    super(detail === "" ? reason : `${reason}: ${detail}`);
    this.name = "Refused";
    this.reason = reason;
    this.seq = seq;
  }

  /** The same refusal, naming the record it belongs to. */
  at(seq: number): Refused {
    return new Refused(this.reason, this.message.slice(this.reason.length + 2), seq);
  }
}

/** True for a refusal; narrows `T | Refused`. */
export function refused(value: unknown): value is Refused {
  return value instanceof Refused;
}

/** Runs a reader that throws `Refused` and hands the refusal back as a value. Other errors are faults of ours and pass. */
export function attempt<T>(run: () => T): T | Refused {
  try {
    return run();
  } catch (error) {
    if (error instanceof Refused) return error;
    throw error;
  }
}

/** As `attempt`, for readers that wait. */
export async function attemptAsync<T>(run: () => Promise<T>): Promise<T | Refused> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof Refused) return error;
    throw error;
  }
}
