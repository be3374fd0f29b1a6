// What verification remembers of a thread between two records, and what it asks of the directory.

import { type CertificateText, type VerifiedDevice } from "./certificates.ts";
import { type Entry, type KnownIdentity } from "./directory.ts";
import { type Bytes } from "./encoding.ts";
import { type Member, type Role, genesisHash } from "./records.ts";

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
