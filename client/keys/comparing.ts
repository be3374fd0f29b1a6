// Comparing the keys of a pharmacy's team with what stands on its poster or receipt, or with what is read out by phone. The outcome
// is kept as a sealed object of the person's own: it is there on each of the person's devices, and no server can make one
// (docs/protocol.md section 9).

import { type Pin } from "../crypto/directory.ts";
import { type Bytes, b64, fromUtf8, sameBytes, unb64, utf8 } from "../crypto/encoding.ts";
import { attempt, refused } from "../crypto/reasons.ts";
import { teamNumber } from "../crypto/safety.ts";
import { type TeamChain } from "../crypto/teams.ts";
import { type Compared, type ComparisonStore } from "./directory.ts";
import { type Objects } from "./objects.ts";

/** What a picture on paper says: a team's number, and its newest generation when it was printed. */
export interface Picture {
  readonly team: string;
  readonly number: Bytes;
  readonly pin: Pin;
}

/** What a picture and a chain are to each other. */
export type Verdict =
  /** The chain goes on from what the picture says, by so many generations. */
  | { readonly kind: "same"; readonly newer: number }
  /** Another chain. */
  | { readonly kind: "other" }
  /** The chain ends before what was printed: the server holds something back, or lost it. */
  | { readonly kind: "behind" };

const KEPT = "portal_compare";
const FRAGMENT = /^#c=([a-z0-9_]{1,64})\.([1-9][0-9]{0,5})\.([0-9A-Za-z_-]{40})\.([0-9A-Za-z_-]{43})$/;

/** The address behind the picture. What it says stands behind its #, which no browser sends. */
export function pictureAddress(chain: TeamChain, origin: string): string {
  const { n, hash } = chain.pin();
  return `${origin}/compare#c=${chain.id}.${n}.${b64(teamNumber(chain).bytes)}.${b64(hash)}`;
}

/** Reads the fragment of an address; undefined for anything else. */
export function pictureIn(fragment: string): Picture | undefined {
  const found = FRAGMENT.exec(fragment);
  const read = found === null ? undefined : attempt(() => ({
    team: found[1]!, number: unb64(found[3], 30), pin: { n: Number(found[2]), hash: unb64(found[4], 32) },
  }));
  return refused(read) ? undefined : read;
}

/** Takes the picture out of the address and keeps it in this tab, over a sign-in and whatever else comes before the page. */
export function readPicture(): void {
  if (location.hash === "") return;
  sessionStorage.setItem(KEPT, location.hash);
  history.replaceState(null, "", location.pathname + location.search);
}

/** What this tab has read: a picture, `unreadable`, or nothing. */
export function keptPicture(): Picture | "unreadable" | undefined {
  const fragment = sessionStorage.getItem(KEPT);
  return fragment === null ? undefined : (pictureIn(fragment) ?? "unreadable");
}

export function forgetPicture(): void {
  sessionStorage.removeItem(KEPT);
}

/** Whether a verified chain is the one of which a picture was made. */
export function judge(picture: Picture, chain: TeamChain): Verdict {
  const { n, hash } = picture.pin;
  if (chain.id !== picture.team || !sameBytes(teamNumber(chain).bytes, picture.number)) return { kind: "other" };
  const there = chain.entry(n);
  if (there === undefined) return { kind: "behind" };
  return sameBytes(there.hash, hash) ? { kind: "same", newer: chain.newest.gen - n } : { kind: "other" };
}

const OBJECT = "teams";

/** What this person found on comparing: the sealed object `confirmations` of the account. */
export class Comparisons implements ComparisonStore {
  private found: Map<string, Compared> | undefined;

  constructor(private readonly objects: Objects, private readonly account: string) {}

  async load(): Promise<void> {
    if (this.found !== undefined) return;
    const kept = await this.objects.read(this.account, "confirmations", OBJECT);
    this.found = kept === undefined ? new Map() : readCompared(kept.content);
  }

  now(): ReadonlyMap<string, Compared> {
    return this.found ?? new Map();
  }

  async keep(team: string, compared: Compared): Promise<void> {
    let now = new Map<string, Compared>();
    await this.objects.update(this.account, "confirmations", OBJECT, (content) => {
      now = content === undefined ? new Map() : readCompared(content);
      return writeCompared(now.set(team, compared));
    });
    this.found = now;
  }
}

/** What is kept, by team. What cannot be read as such is left out; a way that is not known here stays as it was written. */
export function readCompared(content: Uint8Array): Map<string, Compared> {
  const found = new Map<string, Compared>();
  const said: unknown = JSON.parse(fromUtf8(content));
  if (typeof said !== "object" || said === null) return found;
  for (const [team, value] of Object.entries(said as Record<string, Record<string, unknown>>)) {
    const one = attempt((): Compared => ({
      same: value["same"] === true, how: typeof value["how"] === "string" ? value["how"] : "", at: Number(value["at"]),
      pin: { n: Number(value["n"]), hash: unb64(value["hash"], 32) }, number: unb64(value["number"], 30),
    }));
    if (!refused(one) && Number.isSafeInteger(one.at) && Number.isSafeInteger(one.pin.n)) found.set(team, one);
  }
  return found;
}

/** The same as the content of a sealed object. */
export function writeCompared(compared: ReadonlyMap<string, Compared>): Bytes {
  return utf8(JSON.stringify(Object.fromEntries([...compared].map(([team, { same, how, at, pin, number }]) => [
    team, { same, how, at, n: pin.n, hash: b64(pin.hash), number: b64(number) },
  ]))));
}
