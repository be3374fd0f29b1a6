// What anyone can check of a thread without a secret: the chain, who speaks, who may, what they signed. Each record passes the steps
// of its kind (steps.ts) before it is taken into the state.

import { b64, sameBytes } from "./encoding.ts";
import { Refused, attempt, refused } from "./reasons.ts";
import { type EpochRecord, type RawRecord, type ThreadRecord, chainHash, isEpoch, isHistory, isMessage, isRedact, readRecord } from "./records.ts";
import { type DirectoryView, type Head, ThreadState } from "./state.ts";
import { type Check, STEPS, Signatures, type Step, type StepTables, stepsWithout } from "./steps.ts";

/**
 * Verifies the next record of a thread and takes it into `state`. A refused record leaves the state as it was; the thread
 * ends there for this reader.
 */
export async function advance(
  state: ThreadState, raw: RawRecord | ThreadRecord, directory: DirectoryView,
  options: { readonly steps?: StepTables; readonly signatures?: Signatures } = {},
): Promise<ThreadRecord | Refused> {
  const record = isParsed(raw) ? raw : attempt(() => readRecord(raw));
  if (refused(record)) return record.at(state.seq + 1);
  const tables = options.steps ?? STEPS;
  const check: Check = {
    state, record, directory, device: undefined, certificateSteps: tables.certificate,
    signatures: options.signatures ?? new Signatures(),
  };
  const steps = [...tables.common, ...(tables[record.header.t] as readonly Step[])];
  for (const step of steps) {
    const reason = await step.check(check);
    if (reason !== undefined) return new Refused(reason, step.name, state.seq + 1);
  }
  accept(check);
  return record;
}

function isParsed(raw: RawRecord): raw is ThreadRecord {
  return "bodyHash" in raw && raw.bodyHash instanceof Uint8Array;
}

/** Takes a record that passed all steps into the state. */
function accept({ state, record, device }: Check): void {
  state.seq = record.header.seq;
  state.head = chainHash(record);
  state.heads.set(state.seq, state.head);
  if (device !== undefined) {
    state.devices.set(device.dev, device);
    state.keyOwners.set(b64(device.ed), device.user);
  }
  if (isEpoch(record)) acceptEpoch(state, record);
  else if (isMessage(record)) {
    state.authors.set(record.header.seq, record.header.user);
    if (record.ct === undefined) state.withoutBody.add(record.header.seq);
  } else if (isRedact(record)) state.redacted.add(record.header.target);
}

function acceptEpoch(state: ThreadState, { header }: EpochRecord): void {
  const revoked = header.revoked ?? [];
  state.epochs.push({
    epoch: header.epoch, seq: header.seq, commit: header.commit, user: header.user, dev: header.dev, revoked,
    members: new Map(header.members.map((member) => [member.id, member])),
  });
  state.commits.add(b64(header.commit));
  for (const member of header.members) {
    state.roles.set(member.id, member.role);
    state.generations.set(member.id, member.gen);
  }
  for (const dev of revoked) state.revoked.add(dev);
}

/** Checks a verified end of a thread against the highest head seen before: `rollback` below it, `fork` beside it. */
export class HeadGuard {
  constructor(private readonly least: Head | undefined) {}

  /** To be asked after each record, and once for the genesis. */
  passing(state: ThreadState): Refused | undefined {
    if (this.least === undefined || state.seq !== this.least.seq || sameBytes(state.head, this.least.head)) return undefined;
    return new Refused("fork", "another record than was seen before", state.seq);
  }

  /** To be asked when there are no more records. */
  ending(state: ThreadState): Refused | undefined {
    if (this.least === undefined || state.seq >= this.least.seq) return undefined;
    return new Refused("rollback", `the thread ends at ${state.seq}, but ${this.least.seq} was seen before`, state.seq);
  }
}

/** How many records are read and begun together. */
export const CHUNK = 50;

/** The verified records of one chunk, and the refusal that ended the thread, if one did. */
export interface VerifiedChunk {
  readonly records: readonly ThreadRecord[];
  readonly refused: Refused | undefined;
}

/**
 * Verifies many records as a fold of `advance`, in chunks, so that a worker can answer in between. Ends after the first
 * refusal. `least` is the highest head seen before.
 */
export async function* verifyThread(
  state: ThreadState, records: readonly RawRecord[], directory: DirectoryView,
  options: { readonly least?: Head | undefined; readonly steps?: StepTables; readonly chunk?: number } = {},
): AsyncGenerator<VerifiedChunk, void, void> {
  const guard = new HeadGuard(options.least);
  const size = options.chunk ?? CHUNK;
  const start = guard.passing(state);
  if (start !== undefined) {
    yield { records: [], refused: start };
    return;
  }
  for (let at = 0; at < records.length; at += size) {
    const signatures = new Signatures();
    const parsed = records.slice(at, at + size).map((raw) => attempt(() => readRecord(raw)));
    begin(state, parsed, signatures);
    const done: ThreadRecord[] = [];
    for (const record of parsed) {
      const outcome = refused(record)
        ? record.at(state.seq + 1)
        : await advance(state, record, directory, { signatures, ...(options.steps ? { steps: options.steps } : {}) });
      const stop = refused(outcome) ? outcome : guard.passing(state);
      if (stop !== undefined) {
        yield { records: done, refused: stop };
        return;
      }
      done.push(outcome as ThreadRecord);
    }
    yield { records: done, refused: undefined };
  }
  const end = guard.ending(state);
  if (end !== undefined) yield { records: [], refused: end };
}

/** Begins the signature checks of devices that are already known. */
function begin(state: ThreadState, records: readonly (ThreadRecord | Refused)[], signatures: Signatures): void {
  for (const record of records) {
    if (refused(record)) continue;
    const device = state.devices.get(record.header.dev);
    if (device !== undefined) signatures.begin(record, device.ed);
  }
}

/** The newest page of a thread, before its past is checked. */
export interface TailView {
  readonly state: ThreadState;
  readonly records: readonly ThreadRecord[];
}

/**
 * Checks a newest page early (docs/protocol.md section 7): `structure` are all epoch and history records before the page
 * (numbers consecutive, creators, signatures), `page` the newest records with the links between them. The caller marks what
 * it shows as "checking earlier messages" and withdraws it if `verifyThread` refuses afterwards. With `gaps`, epochs may be
 * missing, as for the preview of an inbox.
 */
export async function verifyTail(
  thread: string, structure: readonly RawRecord[], page: readonly RawRecord[], directory: DirectoryView,
  options: { readonly gaps?: boolean } = {},
): Promise<TailView | Refused> {
  const parsed = attempt(() => [structure.map(readRecord), page.map(readRecord)] as const);
  if (refused(parsed)) return parsed;
  const [early, late] = parsed;
  const first = late[0];
  if (first === undefined) return new Refused("sequence", "an empty page");
  const state = new ThreadState(thread, { seq: first.header.seq - 1, head: first.header.prev });
  const loose = stepsWithout(["sequence", "chain", ...(options.gaps ? ["epoch number"] : [])]);
  const records: ThreadRecord[] = [];
  let seq = 0;
  for (const record of early) {
    if (record.header.seq >= first.header.seq) continue;
    if (record.header.seq <= seq) return new Refused("sequence", "epochs out of order", record.header.seq);
    seq = record.header.seq;
    if (!isEpoch(record) && !isHistory(record)) return new Refused("type", "neither epoch nor history", seq);
    const outcome = await advance(state, record, directory, { steps: loose });
    if (refused(outcome)) return outcome;
    records.push(record);
  }
  state.seq = first.header.seq - 1;
  state.head = first.header.prev;
  const whole = options.gaps ? stepsWithout(["epoch number"]) : STEPS;
  for (const record of late) {
    const outcome = await advance(state, record, directory, { steps: whole });
    if (refused(outcome)) return outcome;
    records.push(record);
  }
  return { state, records };
}
