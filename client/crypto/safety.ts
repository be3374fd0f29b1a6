// Safety numbers: what two people compare, in person or on video, or against a poster at the counter (docs/protocol.md section 9).

import { type UserChain } from "./directory.ts";
import { type Bytes, b64, pae, sha256 } from "./encoding.ts";
import { type TeamChain } from "./teams.ts";

export interface SafetyNumber {
  /** The 30 bytes of which the rest is made. */
  readonly bytes: Bytes;
  /** Twelve groups of five digits. */
  readonly groups: readonly string[];
  /** What a QR code holds. */
  readonly qr: string;
}

/** The header that stands for a person: of the first entry with the present identity. */
export function identityHeader(chain: UserChain): Bytes {
  return chain.introduced.h;
}

/** The header that stands for a team: that of its first record. It never changes. */
export function teamHeader(chain: TeamChain): Bytes {
  return chain.records[0]!.h;
}

/** A team's own number: that of its poster. */
export function teamNumber(chain: TeamChain): SafetyNumber {
  return safetyNumber([teamHeader(chain)]);
}

/** The number over one or more headers, in whatever order they are given. */
export function safetyNumber(headers: readonly Bytes[]): SafetyNumber {
  const digest = sha256(pae("safety", ...headers.toSorted(compareBytes))).slice(0, 30);
  let number = 0n;
  for (const byte of digest) number = (number << 8n) | BigInt(byte);
  const digits = (number % 10n ** 60n).toString().padStart(60, "0");
  return { bytes: digest, groups: digits.match(/.{5}/g)!, qr: `rxe2ee:1:${b64(digest)}` };
}

function compareBytes(left: Bytes, right: Bytes): number {
  for (let index = 0; index < Math.min(left.length, right.length); index += 1) {
    if (left[index]! !== right[index]!) return left[index]! - right[index]!;
  }
  return left.length - right.length;
}
