// What the browser brings itself and what it does not: newer ones have X-Wing, ML-DSA and a strict Ed25519, for others the same
// bytes are computed by hand (byhand.ts), where the one who uses this folder says. A test turns the browser's own off and compares.

import { type Bytes } from "./encoding.ts";

/** The algorithms that a platform may lack. Each rejects where the library throws: a public key that is none. */
export interface HandTasks {
  edPublicKey(seed: Bytes): Promise<Bytes>;
  edSign(input: { readonly seed: Bytes; readonly message: Bytes }): Promise<Bytes>;
  /** The equation alone, without cofactor: what may stand for a point or a scalar is checked before. */
  edVerify(input: { readonly publicKey: Bytes; readonly signature: Bytes; readonly message: Bytes }): Promise<boolean>;
  mlPublicKey(seed: Bytes): Promise<Bytes>;
  mlSign(input: { readonly seed: Bytes; readonly message: Bytes; readonly context: Bytes }): Promise<Bytes>;
  mlVerify(input: {
    readonly publicKey: Bytes; readonly signature: Bytes; readonly message: Bytes; readonly context: Bytes;
  }): Promise<boolean>;
  kemPublicKey(seed: Bytes): Promise<Bytes>;
  kemEncapsulate(publicKey: Bytes): Promise<{ readonly secret: Bytes; readonly enc: Bytes }>;
  kemDecapsulate(input: { readonly seed: Bytes; readonly enc: Bytes }): Promise<Bytes>;
}

/** Asks for one of them by name. */
export type ByHand = <Name extends keyof HandTasks>(
  name: Name, input: Parameters<HandTasks[Name]>[0],
) => Promise<Awaited<ReturnType<HandTasks[Name]>>>;

let allowed = true;
let hand: ByHand | undefined;

/** Whether the platform's own algorithms may be used. */
export function nativeAllowed(): boolean {
  return allowed;
}

/** Turns the platform's own algorithms on or off. */
export function allowNative(on: boolean): void {
  allowed = on;
}

/** Says who computes what the platform lacks. */
export function useByHand(by: ByHand): void {
  hand = by;
}

/** Computes what the platform lacks. */
export const byHand: ByHand = (name, input) => {
  if (hand === undefined) throw new Error("nobody computes by hand here");
  return hand(name, input);
};

/** The two halves of a signing or encapsulating key, where the platform knows the algorithm; undefined otherwise. */
export async function nativePublicKey(algorithm: Algorithm, seed: Bytes, uses: readonly [string, string]): Promise<Bytes | undefined> {
  if (!allowed) return undefined;
  try {
    const secret = await crypto.subtle.importKey("raw-seed" as "raw", seed, algorithm, true, [uses[0] as KeyUsage]);
    const subtle = crypto.subtle as unknown as { getPublicKey(key: CryptoKey, uses: readonly string[]): Promise<CryptoKey> };
    return new Uint8Array(await crypto.subtle.exportKey("raw-public" as "raw", await subtle.getPublicKey(secret, [uses[1]])));
  } catch {
    return undefined;
  }
}
