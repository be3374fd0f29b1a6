// Whom the next generation of a team may list, and under which key. The server says who wants to sit where; whom the team's key,
// and with it all that was ever written, is sealed to is decided by signed records and by what a person has compared.

import { type UserChain } from "../crypto/directory.ts";
import { type Bytes, sameBytes } from "../crypto/encoding.ts";
import { type TeamMember, type TeamSeat } from "../crypto/teams.ts";

/** Why somebody is not listed: the keys do not verify, they were begun anew since they were seen here, or a colleague was faster. */
export type SeatFault = "keys" | "anew" | "moved";

/** The key of somebody who is to be listed cannot be relied on. */
export class SeatRefused extends Error {
  constructor(readonly account: string, readonly fault: SeatFault = "keys") {
    super("the keys of a member do not verify");
    this.name = "SeatRefused";
  }
}

/** What the browser knows of those who are to be listed. */
export interface Known {
  /** The verified chain of somebody; undefined where nothing verifies. */
  chain(account: string): UserChain | undefined;
  /** Whether somebody started again since this person last saw the keys, and nobody has confirmed who it is. */
  held(account: string): boolean;
}

/** Those who are let in now: by account the hash of the identity entry that was compared, or that was made here. */
export type Joining = ReadonlyMap<string, Bytes | undefined>;

/** The word for a role inside signed records. */
export function roleInRecords(role: string): TeamMember["role"] {
  return role === "pharmacist" || role === "service" ? role : "staff";
}

/**
 * The seats of the next generation. Who is neither let in now nor `listed` in the newest record is left out, whatever the server
 * says; who stays keeps the role of that record. The organisation's recovery (role `service`) is left out too where its keys do not
 * verify or were begun anew: no change of members waits for it, and the page says that the sheets do not open the team. Throws
 * SeatRefused.
 */
export function seatsFor(
  wanted: readonly { readonly account: string; readonly role: string }[], known: Known, listed: readonly TeamMember[], joining: Joining,
): readonly TeamSeat[] {
  return wanted.flatMap(({ account, role }): readonly TeamSeat[] => {
    const before = listed.find((one) => one.id === account);
    if (before === undefined && !joining.has(account)) return [];
    const chain = known.chain(account);
    // Who stays has the keys that the record lists, or such as they have signed on to.
    const anew = known.held(account) || (before !== undefined && !joining.has(account) && !stillOf(chain, before.who));
    if (role === "service" && !joining.has(account) && (chain === undefined || anew)) return [];
    if (chain === undefined) throw new SeatRefused(account);
    if (anew) throw new SeatRefused(account, "anew");
    if (joining.has(account)) {
      const compared = joining.get(account);
      if (compared === undefined || !sameBytes(compared, chain.introduced.hash)) throw new SeatRefused(account);
    }
    return [{ id: account, role: before?.role ?? roleInRecords(role), who: chain.who, kem: chain.newest.kem }];
  });
}

/** Whether the newest keys of a chain are those of its entry with the hash `who`, or follow them without a new beginning. */
function stillOf(chain: UserChain | undefined, who: Bytes): boolean {
  const listed = chain?.entries.find(({ hash }) => sameBytes(hash, who));
  return chain !== undefined && listed !== undefined && chain.resetSince({ n: listed.n, hash: listed.hash }) === undefined;
}
