// What the routes of keys, directory and teams answer (docs/architecture.md, "JSON routes").

import { type CertificateText, type RevocationText } from "../crypto/certificates.ts";
import { type EntryText } from "../crypto/directory.ts";
import { type RootBoxText } from "../crypto/objects.ts";
import { type UrkWrap } from "../crypto/recovery.ts";
import { type TeamText } from "../crypto/teams.ts";

export type Method = UrkWrap["method"];

/** The vault: a person's root boxes. */
export interface VaultText {
  readonly user: string;
  readonly rev: number;
  readonly boxes: readonly RootBoxText[];
}

export interface OwnDevice {
  readonly id: string;
  readonly name: string;
  /** Others use it too: it opens by a PIN or passkey. */
  readonly shared: boolean;
  readonly state: "active" | "stale" | "ended";
  readonly certificate: CertificateText;
  readonly revocation: RevocationText | null;
  readonly created_at: string;
  readonly seen_at: string;
  readonly ended_at: string | null;
  readonly current: boolean;
}

export interface RecoveryWay {
  /** `code`, `passphrase`, or 32 hex digits of a passkey (`wayOf`). */
  readonly id: string;
  readonly method: Method;
  /** By which its owner knows a passkey again. */
  readonly name: string | null;
  readonly set_at: string;
  readonly tried_at: string | null;
}

/** GET /api/keys/me. */
export interface OwnKeys {
  readonly entries: readonly EntryText[];
  readonly devices: readonly OwnDevice[];
  readonly vault: { readonly rev: number; readonly vault: VaultText } | null;
  readonly recovery: readonly RecoveryWay[];
  /** "Something is wrong" was pressed: no key changes until `ends_at`, or until staff end it. */
  readonly stopped: { readonly at: string; readonly ends_at: string | null } | null;
  readonly teams: readonly { readonly team: string; readonly state: SeatState }[];
}

/** What binding, enrolling and adding a device give. */
export interface Given {
  readonly device: string;
  readonly share: string;
}

/** Keys that a colleague made for somebody who has not signed in yet. */
export interface Ahead {
  /** The account of who made them, and its name. */
  readonly by: string;
  readonly name: string;
  /** Until when the code is taken. */
  readonly until: string;
}

export type SeatState = "waiting" | "approved" | "member" | "leaving";

export interface SeatItem {
  readonly account: string;
  readonly name: string;
  readonly role: string;
  readonly state: SeatState;
  readonly since: string;
  readonly has_keys: boolean;
  /** Listed now, to be left out of the next generation. */
  readonly flagged: boolean;
  readonly ahead: Ahead | null;
}

export interface TeamItem {
  readonly team: string;
  readonly kind: string;
  /** 0: not founded yet. */
  readonly gen: number;
  readonly sole_member: boolean;
  readonly seats: readonly SeatItem[];
  /** Who works here, would fit and has no keys yet: they can be let in ahead. */
  readonly expected: readonly Pick<SeatItem, "account" | "name" | "role">[];
}

export interface PersonItem {
  readonly id: string;
  readonly role: string;
  readonly pharmacy: string | null;
  readonly name: string;
  readonly disabled: boolean;
  readonly entries: readonly EntryText[];
  readonly devices: readonly {
    readonly id: string; readonly certificate: CertificateText; readonly revocation: RevocationText | null;
    /** Number of the entry whose identity signed the certificate, as the server says. */
    readonly signed_by?: number;
  }[];
}

export interface TeamKeysItem {
  readonly id: string;
  readonly pharmacy: string;
  readonly kind: string;
  readonly records: readonly TeamText[];
}

export type DirectoryItem = PersonItem | TeamKeysItem;

export function isTeamItem(item: DirectoryItem): item is TeamKeysItem {
  return "records" in item;
}
