// What is asked of each record: each check is a named step in a table; the order of the tables is the order of docs/protocol.md
// sections 1, 4 and 5.

import { CERTIFICATE_STEPS, type CertificateStep, type CertificateText, type VerifiedDevice, verifyCertificate } from "./certificates.ts";
import { type Entry } from "./directory.ts";
import { verify as verifyEd25519 } from "./ed25519.ts";
import { type Bytes, b64, bigHash, sameBytes } from "./encoding.ts";
import { type IdentityKeys } from "./hybrid.ts";
import { type EndingReason, refused } from "./reasons.ts";
import {
  type EpochRecord, type HistoryRecord, type Member, type MessageRecord, type RedactRecord, type Role, SUITE, type ThreadRecord,
  isEpoch, signedBytes, wrapsHash,
} from "./records.ts";
import { type DirectoryView, type EpochInfo, type Maker, type ThreadState } from "./state.ts";

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
