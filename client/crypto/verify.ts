// What anyone can check of a thread without a secret: the chain, who speaks, who may, what they signed.
// Each check is a named step in a table; the order of the tables is the order of docs/protocol.md sections 1, 4 and 5.

import { CERTIFICATE_STEPS, type CertificateStep, type CertificateText, type VerifiedDevice, verifyCertificate } from "./certificates.ts";
import { type Entry, type KnownIdentity } from "./directory.ts";
import { verify as verifyEd25519 } from "./ed25519.ts";
import { type Bytes, b64, bigHash, sameBytes } from "./encoding.ts";
import { type IdentityKeys } from "./hybrid.ts";
import { type EndingReason, Refused, attempt, refused } from "./reasons.ts";
import {
  type EpochRecord, type HistoryRecord, type Member, type MessageRecord, type RawRecord, type RedactRecord, type Role,
  SUITE, type ThreadRecord, chainHash, genesisHash, isEpoch, isHistory, isMessage, isRedact, readRecord, signedBytes,
  wrapsHash,
} from "./records.ts";

/** Who makes an epoch, as far as the thread itself shows it. */
export interface Maker {
  readonly user: string;
  readonly patient: boolean;
  /** Speaks for a team of this epoch. */
  readonly team: boolean;
}

/** What section 3 has already verified: entries, team records, revocations. Certificates are verified here. */
export interface DirectoryView {
  /** The entry of an id in a generation; without generation the newest. */
  user(id: string, gen?: number): Entry | undefined;
  /** The identities under which certificates of this user may stand, the newest first. */
  identities(user: string): readonly KnownIdentity[];
  /** The certificate that the server shows for a device, not yet verified. */
  device(dev: string): CertificateText | undefined;
  /** Whether a user is listed in the record of that generation of a team. */
  speaksFor(user: string, team: string, gen: number): boolean;
  /** The identities by which a user's devices speak for the team: the one listed in that record, and its heirs. */
  signers(user: string, team: string, gen: number): readonly KnownIdentity[];
  /** Whether a user listed there may say who a person is that started again: a pharmacist, or the privacy team. */
  vouches(user: string, team: string, gen: number): boolean;
  /** Whether a person's chain has a reset among the generations after one, up to and with another. */
  startedAgain(id: string, after: number, upto: number): boolean;
  /** Whether a verified revocation of this device is known. */
  revocation(dev: string, maker: Maker): boolean;
}

/** An epoch that the chain holds. */
export interface EpochInfo {
  readonly epoch: number;
  readonly seq: number;
  readonly commit: Bytes;
  readonly members: ReadonlyMap<string, Member>;
  readonly revoked: readonly string[];
  readonly user: string;
  readonly dev: string;
}

/** A point of the chain: sequence number and the hash that the next record must name. */
export interface Head {
  readonly seq: number;
  readonly head: Bytes;
}

/** All that verification remembers of a thread between two records. */
export class ThreadState {
  readonly thread: string;
  seq = 0;
  head: Bytes;
  readonly epochs: EpochInfo[] = [];
  readonly roles = new Map<string, Role>();
  readonly generations = new Map<string, number>();
  readonly commits = new Set<string>();
  readonly revoked = new Set<string>();
  /** Author of each message, by sequence number. */
  readonly authors = new Map<number, string>();
  readonly redacted = new Set<number>();
  /** The head after each record; at 0 the genesis. */
  readonly heads = new Map<number, Bytes>();
  /** Messages seen without their sealed body. */
  readonly withoutBody = new Set<number>();
  readonly devices = new Map<string, VerifiedDevice>();
  /** The user of each device key. */
  readonly keyOwners = new Map<string, string>();
  /** Where verification began; 0 is the genesis, anything else is a newest page whose past is not checked yet. */
  readonly since: number;

  constructor(thread: string, start?: Head) {
    this.thread = thread;
    this.since = start?.seq ?? 0;
    this.seq = this.since;
    this.head = start?.head ?? genesisHash(thread);
    this.heads.set(this.seq, this.head);
  }

  /** The current epoch. */
  get epoch(): EpochInfo | undefined {
    return this.epochs.at(-1);
  }

  /** The epoch of that number. */
  epochNumber(number: number): EpochInfo | undefined {
    const expected = this.epochs[number - 1];
    return expected?.epoch === number ? expected : this.epochs.find((known) => known.epoch === number);
  }

  /** The epoch in force at a place of the chain. */
  epochAt(seq: number): EpochInfo | undefined {
    return this.epochs.findLast((known) => known.seq <= seq);
  }

  /** Messages that have no body and that nobody took back: "withheld by the server". */
  withheld(): number[] {
    return [...this.withoutBody].filter((seq) => !this.redacted.has(seq));
  }
}

/** What a step sees. */
export interface Check<R extends ThreadRecord = ThreadRecord> {
  readonly state: ThreadState;
  readonly record: R;
  readonly directory: DirectoryView;
  /** Set by the step "certificate". */
  device: VerifiedDevice | undefined;
  readonly signatures: Signatures;
  readonly certificateSteps: readonly CertificateStep[];
}

export type Outcome = EndingReason | undefined;

/** One check with its name. It answers with the reason of refusal, or with undefined. */
export interface Step<R extends ThreadRecord = ThreadRecord> {
  readonly name: string;
  readonly check: (check: Check<R>) => Outcome | Promise<Outcome>;
}

/** Signature checks that were begun ahead of their turn, so that the platform can work on several at once. */
export class Signatures {
  private readonly begun = new WeakMap<ThreadRecord, { key: Bytes; holds: Promise<boolean> }>();

  begin(record: ThreadRecord, key: Bytes): void {
    this.begun.set(record, { key, holds: verifyEd25519(key, record.sig, signedBytes(record)) });
  }

  holds(record: ThreadRecord, key: Bytes): Promise<boolean> {
    const known = this.begun.get(record);
    if (known !== undefined && sameBytes(known.key, key)) return known.holds;
    return verifyEd25519(key, record.sig, signedBytes(record));
  }
}

const signature: Step["check"] = async ({ record, device, signatures }) =>
  device !== undefined && (await signatures.holds(record, device.ed)) ? undefined : "signature";

/** Who acts: a user, on a device that this identity has certified. */
export interface Speaker {
  readonly user: string;
  readonly signer: IdentityKeys | undefined;
}

/**
 * Whether a speaker's device speaks for a team: the user is listed there, and the identity listed, or an heir, certified the device.
 * Else a server could begin the keys of anybody in a team anew, and speak for the team with them.
 */
export function speaksFor({ user, signer }: Speaker, team: string, gen: number, directory: Pick<DirectoryView, "speaksFor" | "signers">): boolean {
  if (signer === undefined || !directory.speaksFor(user, team, gen)) return false;
  return directory.signers(user, team, gen).some(({ keys }) => sameBytes(keys.ed, signer.ed) && sameBytes(keys.ml, signer.ml));
}

/** The ids under which the sender may act in an epoch with these members: its own and its teams'. */
export function voicesOf(speaker: Speaker, members: Iterable<Member>, directory: Pick<DirectoryView, "speaksFor" | "signers">): Set<string> {
  const ids = new Set<string>();
  for (const member of members) {
    if (member.id === speaker.user) ids.add(member.id);
    else if (member.role === "team" && speaksFor(speaker, member.id, member.gen, directory)) ids.add(member.id);
  }
  return ids;
}

function voices({ directory, record, device }: Check, members: Iterable<Member>): Set<string> {
  return voicesOf({ user: record.header.user, signer: device?.signer }, members, directory);
}

/** The epoch before this one; undefined for the first, and where a preview has a gap. */
function before(check: Check<EpochRecord>): EpochInfo | undefined {
  const last = check.state.epoch;
  return last?.epoch === check.record.header.epoch - 1 ? last : undefined;
}

/** Steps that every record passes first. */
export const COMMON_STEPS: readonly Step[] = [
  { name: "thread", check: ({ state, record }) => (record.header.thread === state.thread ? undefined : "thread") },
  { name: "sequence", check: ({ state, record }) => (record.header.seq === state.seq + 1 ? undefined : "sequence") },
  { name: "chain", check: ({ state, record }) => (sameBytes(record.header.prev, state.head) ? undefined : "chain") },
  {
    name: "unknown device",
    check: ({ directory, record }) => (directory.device(record.header.dev) ? undefined : "unknown device"),
  },
  {
    name: "unknown user",
    check: ({ directory, record }) => (directory.user(record.header.user) ? undefined : "unknown user"),
  },
  { name: "certificate", check: certificate },
  { name: "certificate after a reset", check: certificateIsCurrent },
  {
    name: "one user a device key",
    check: ({ state, device }) =>
      device === undefined || (state.keyOwners.get(b64(device.ed)) ?? device.user) === device.user ? undefined : "certificate",
  },
  {
    name: "revoked device",
    check: ({ state, record }) => (state.revoked.has(record.header.dev) ? "revoked" : undefined),
  },
];

async function certificate(check: Check): Promise<Outcome> {
  const { state, record, directory } = check;
  const { dev, user } = record.header;
  const shown = directory.device(dev);
  if (shown === undefined) return "certificate";
  let device = state.devices.get(dev);
  // Whoever renewed the own key since has the same certificate, under an entry of a later generation.
  if (device === undefined || device.user !== user || !sameText(device.text, shown) || !isCurrent(device, seatsAt(check), directory)) {
    const verified = await verifyCertificate(shown, { user, dev }, directory.identities(user), check.certificateSteps);
    if (refused(verified)) return "certificate";
    device = verified;
  }
  check.device = device;
  return undefined;
}

/** Where the epoch names a generation of the sender, only identities of that generation or later count (section 3). */
function certificateIsCurrent(check: Check): Outcome {
  const { device, directory } = check;
  return device === undefined || isCurrent(device, seatsAt(check), directory) ? undefined : "certificate";
}

/** The members that a record is written under: of an epoch record its own. */
function seatsAt({ state, record }: Check): readonly Member[] {
  return isEpoch(record) ? record.header.members : [...(state.epoch?.members.values() ?? [])];
}

/** Whether a device is of the generation by which its user is listed, or of a later one without a new beginning since. */
export function isCurrent({ user, gen }: VerifiedDevice, members: Iterable<Member>, directory: Pick<DirectoryView, "startedAgain">): boolean {
  const own = [...members].find((member) => member.id === user);
  return own === undefined || (gen >= own.gen && !directory.startedAgain(user, own.gen, gen));
}

function sameText(left: CertificateText, right: CertificateText): boolean {
  return left.h === right.h && left.sig === right.sig && left.pop === right.pop;
}

/** Steps of an epoch record. */
export const EPOCH_STEPS: readonly Step<EpochRecord>[] = [
  {
    name: "epoch number",
    check: ({ state, record }) =>
      record.header.epoch === (state.epoch?.epoch ?? 0) + 1 ? undefined : "epoch number",
  },
  { name: "suite", check: ({ record }) => (record.header.suite === SUITE ? undefined : "suite") },
  {
    name: "creator",
    check: (check) => {
      const here = voices(check, check.record.header.members);
      const earlier = before(check);
      const acting = [...here].filter((id) => earlier === undefined || earlier.members.has(id));
      return acting.length > 0 ? undefined : "creator";
    },
  },
  { name: "a team stays", check: ({ record }) => (record.header.members.some(isTeam) ? undefined : "membership") },
  {
    name: "patients stay",
    check: (check) => {
      const ids = new Set(check.record.header.members.map((member) => member.id));
      return leaving(before(check), ids).some((member) => member.role === "patient") ? "membership" : undefined;
    },
  },
  { name: "who may change members", check: mayChange },
  {
    name: "one role for all epochs",
    check: ({ state, record }) =>
      record.header.members.every((member) => (state.roles.get(member.id) ?? member.role) === member.role)
        ? undefined : "membership",
  },
  {
    name: "duplicate",
    check: ({ record }) =>
      new Set(record.header.members.map((member) => member.id)).size === record.header.members.length
        ? undefined : "duplicate",
  },
  {
    name: "member key",
    check: ({ directory, record }) =>
      record.header.members.every((member) => {
        const entry = directory.user(member.id, member.gen);
        return entry !== undefined && sameBytes(entry.kid, member.kid) && roleFits(member.role, entry.role);
      }) ? undefined : "member key",
  },
  {
    name: "generations do not fall",
    check: ({ state, record }) =>
      record.header.members.every((member) => member.gen >= (state.generations.get(member.id) ?? 0))
        ? undefined : "member key",
  },
  { name: "who started again is vouched for", check: vouchedFor },
  { name: "revoked list", check: revokedList },
  {
    name: "commitment reused",
    check: ({ state, record }) => (state.commits.has(b64(record.header.commit)) ? "commitment reused" : undefined),
  },
  {
    name: "wrap list",
    check: ({ record }) => {
      if (record.wraps === undefined) return undefined;
      const ids = new Set(record.header.members.map((member) => member.id));
      return ids.size === record.wraps.size && [...record.wraps.keys()].every((id) => ids.has(id))
        ? undefined : "wrap list";
    },
  },
  { name: "epoch signature", check: signature as Step<EpochRecord>["check"] },
  { name: "epoch wrap hash", check: wrapHash },
];

function isTeam(member: Member): boolean {
  return member.role === "team";
}

/** Team and service agree with the entry's role, all other roles need a person. */
export function roleFits(role: Role, entry: Entry["role"]): boolean {
  return role === "team" || role === "service" ? entry === role : entry === "person";
}

function leaving(earlier: EpochInfo | undefined, ids: ReadonlySet<string>): Member[] {
  return earlier === undefined ? [] : [...earlier.members.values()].filter((member) => !ids.has(member.id));
}

/** Section 5: teams may add anyone and remove all but patients, a patient may add and remove proxies, others nothing. */
function mayChange(check: Check<EpochRecord>): Outcome {
  const earlier = before(check);
  if (earlier === undefined) return undefined;
  const { members, user } = check.record.header;
  const speaking = voices(check, members);
  const changed = [
    ...members.filter((member) => !earlier.members.has(member.id)),
    ...leaving(earlier, new Set(members.map((member) => member.id))),
  ];
  if (changed.length === 0) return undefined;
  const asTeam = members.some(
    (member) => isTeam(member) && earlier.members.has(member.id) && speaking.has(member.id),
  );
  if (asTeam) return undefined;
  const asPatient = earlier.members.get(user)?.role === "patient";
  return asPatient && changed.every((member) => member.role === "proxy") ? undefined : "membership";
}

/** Section 5: where a member started again since the generation before, the maker must be one who may say who that is. */
function vouchedFor(check: Check<EpochRecord>): Outcome {
  const { state, directory, record } = check;
  const { members, user } = record.header;
  const again = members.some((member) => {
    const known = state.generations.get(member.id);
    return !isTeam(member) && known !== undefined && directory.startedAgain(member.id, known, member.gen);
  });
  if (!again) return undefined;
  const earlier = before(check);
  const speaking = voices(check, members);
  const vouched = members.some(
    (member) => isTeam(member) && (earlier?.members.has(member.id) ?? false) && speaking.has(member.id) && directory.vouches(user, member.id, member.gen),
  );
  return vouched ? undefined : "membership";
}

function revokedList(check: Check<EpochRecord>): Outcome {
  const { directory, record } = check;
  const { revoked, dev, user, members } = record.header;
  if (revoked === undefined) return undefined;
  if (new Set(revoked).size !== revoked.length || revoked.includes(dev)) return "revoked";
  const own = members.find((member) => member.id === user);
  const speaking = voices(check, members);
  const maker: Maker = {
    user,
    patient: own?.role === "patient",
    team: members.some((member) => isTeam(member) && speaking.has(member.id)),
  };
  const backed = revoked.every((id) => directory.device(id) !== undefined && directory.revocation(id, maker));
  return backed ? undefined : "revoked";
}

function wrapHash({ record }: { record: EpochRecord | HistoryRecord }): Outcome {
  if (record.wraps === undefined) return undefined;
  return sameBytes(wrapsHash(record.wraps), record.bodyHash) ? undefined : "wrap hash";
}

/** Under the current epoch. */
const currentEpoch: Step["check"] = ({ state, record }) =>
  state.epoch !== undefined && record.header.epoch === state.epoch.epoch ? undefined : "epoch";

const isMember: Step["check"] = (check) =>
  check.state.epoch !== undefined && voices(check, check.state.epoch.members.values()).size > 0
    ? undefined : "not a member";

/** Steps of a message. */
export const MESSAGE_STEPS: readonly Step<MessageRecord>[] = [
  {
    name: "label only in the first message",
    check: ({ state, record }) =>
      record.header.label !== undefined && state.authors.size > 0 ? "form" : undefined,
  },
  { name: "message epoch", check: currentEpoch as Step<MessageRecord>["check"] },
  { name: "message member", check: isMember as Step<MessageRecord>["check"] },
  { name: "message signature", check: signature as Step<MessageRecord>["check"] },
  {
    name: "ciphertext hash",
    check: async ({ record }) =>
      record.ct === undefined || sameBytes(await bigHash(record.ct), record.bodyHash) ? undefined : "ciphertext hash",
  },
];

/** Steps of a history record. */
export const HISTORY_STEPS: readonly Step<HistoryRecord>[] = [
  { name: "history epoch", check: currentEpoch as Step<HistoryRecord>["check"] },
  {
    name: "history range",
    check: ({ record: { header } }) =>
      header.from >= 1 && header.from <= header.upto && header.upto < header.epoch ? undefined : "history",
  },
  {
    name: "history maker",
    check: (check) => (makerOfHistory(check) ? undefined : "history"),
  },
  {
    name: "history addressee",
    check: ({ state, record }) => (state.epoch?.members.has(record.header.to.id) ? undefined : "history"),
  },
  {
    name: "history key",
    check: ({ directory, record: { header } }) => {
      const entry = directory.user(header.to.id, header.to.gen);
      return entry !== undefined && sameBytes(entry.kid, header.to.kid) ? undefined : "history";
    },
  },
  {
    name: "history wraps",
    check: ({ record }) =>
      record.wraps === undefined || (record.wraps.size === 1 && record.wraps.has(record.header.to.id))
        ? undefined : "history",
  },
  { name: "history signature", check: signature as Step<HistoryRecord>["check"] },
  { name: "history wrap hash", check: wrapHash },
];

/** The sender, or a team it speaks for, is a member now and was in every epoch it hands on; proxies and services make none. */
function makerOfHistory(check: Check<HistoryRecord>): boolean {
  const { state, record: { header } } = check;
  if (state.epoch === undefined) return false;
  const range = state.epochs.filter((known) => known.epoch >= header.from && known.epoch <= header.upto);
  return [...voices(check, state.epoch.members.values())].some((id) => {
    const role = state.roles.get(id);
    return role !== "proxy" && role !== "service" && range.every((known) => known.members.has(id));
  });
}

/** Steps of a redact record. */
export const REDACT_STEPS: readonly Step<RedactRecord>[] = [
  { name: "redact epoch", check: currentEpoch as Step<RedactRecord>["check"] },
  { name: "redact member", check: isMember as Step<RedactRecord>["check"] },
  { name: "redact signature", check: signature as Step<RedactRecord>["check"] },
  {
    name: "redact own message",
    check: ({ state, record: { header } }) => {
      const beyondThePage = header.target <= state.since && header.target > 0;
      return beyondThePage || state.authors.get(header.target) === header.user ? undefined : "redact";
    },
  },
];

/** All tables, in the order in which they are asked. */
export interface StepTables {
  readonly certificate: readonly CertificateStep[];
  readonly common: readonly Step[];
  readonly epoch: readonly Step<EpochRecord>[];
  readonly msg: readonly Step<MessageRecord>[];
  readonly history: readonly Step<HistoryRecord>[];
  readonly redact: readonly Step<RedactRecord>[];
}

export const STEPS: StepTables = Object.freeze({
  certificate: CERTIFICATE_STEPS, common: COMMON_STEPS, epoch: EPOCH_STEPS, msg: MESSAGE_STEPS, history: HISTORY_STEPS, redact: REDACT_STEPS,
});

/** The tables without the steps of these names: for tests that show that each counts, and for pages not yet complete. */
export function stepsWithout(names: readonly string[], tables: StepTables = STEPS): StepTables {
  const keep = (step: { name: string }): boolean => !names.includes(step.name);
  // An untouched table stays the same one: only certificates that passed the whole of it are remembered.
  const certificate = tables.certificate.every(keep) ? tables.certificate : tables.certificate.filter(keep);
  return {
    certificate, common: tables.common.filter(keep), epoch: tables.epoch.filter(keep), msg: tables.msg.filter(keep),
    history: tables.history.filter(keep), redact: tables.redact.filter(keep),
  };
}

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
