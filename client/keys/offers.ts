// One device of a person lets another one in (docs/protocol.md section 2): this one seals the root key under a code, shows it as a
// picture and as text, and the other one reads it after a sign-in of its own. The code is in no request.

import type { Bytes } from "../crypto/encoding.ts";
import { refused } from "../crypto/reasons.ts";
import { type UrkWrap, generateCode, offerName, readCode, wrapByDevice } from "../crypto/recovery.ts";
import { get, isCode, post, put, remove } from "../live/api.ts";
import type { Ownership } from "./local.ts";
import { restore } from "./restore.ts";
import type { Ready, SignedIn } from "./unlock.ts";

/** What is shown: the code, and until when it is taken (ISO 8601). */
export interface Offered {
  readonly code: string;
  readonly until: string;
}

/** GET /api/keys/offer: where an offer stands, and which browser read it. */
export interface OfferState {
  readonly state: "waiting" | "given" | "done" | "over";
  readonly until: string;
  readonly browser: string | null;
}

const KEPT = "portal_device_code";
const FRAGMENT = /^#d=([0-9A-Za-z*~$=-]{27,40})$/;

/** The address behind the picture. The code stands behind its #, which no browser sends. */
export function offerAddress(code: string): string {
  return `${location.origin}/recover#d=${code}`;
}

/** Offers the root key to one other device, in place of an earlier offer. Throws ApiError `step-up`. */
export async function offerKeys(ready: Ready, root: Bytes): Promise<Offered> {
  const code = generateCode();
  const wrap = await wrapByDevice(ready.account.id, root, code);
  if (refused(wrap)) throw wrap;
  const { until } = await put<{ until: string }>("/api/keys/offer", { name: offerName(ready.account.id, code), wrap });
  return { code, until };
}

/** Where the offer stands; undefined when there is none any more. */
export async function offerState(): Promise<OfferState | undefined> {
  try {
    return await get<OfferState>("/api/keys/offer");
  } catch (error) {
    if (isCode(error, "not-found")) return undefined;
    throw error;
  }
}

export function endOffer(): Promise<void> {
  return remove("/api/keys/offer");
}

/** Takes the code out of the address, before anything else is done, and keeps it in this tab over the sign-in. */
export function readOffered(): void {
  const found = FRAGMENT.exec(location.hash);
  if (found === null) return;
  sessionStorage.setItem(KEPT, found[1]!);
  history.replaceState(null, "", location.pathname + location.search);
}

/** The code that this tab read. */
export function offeredCode(): string | null {
  return sessionStorage.getItem(KEPT);
}

export function forgetOffered(): void {
  sessionStorage.removeItem(KEPT);
}

/**
 * Makes this browser a device of the person with the code of another one. Throws Refused `code` for a typing error, before anything
 * is asked; ApiError `not-found` for an offer that is over, `step-up`.
 */
export async function takeOffer(person: SignedIn, typed: string, ownership: Ownership): Promise<void> {
  readCode(typed);
  const { wrap } = await post<{ wrap: UrkWrap }>("/api/keys/offer/take", { name: offerName(person.account.id, typed) });
  // Given once: whatever happens now, the code is of no use any more.
  forgetOffered();
  await restore(person, wrap, typed, ownership);
}
