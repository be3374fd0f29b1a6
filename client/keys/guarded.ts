// What lies here of a device, and whether others use it too, told without any cryptography: pages of the server ask it, too.

import type { Bytes } from "../crypto/encoding.ts";
import type { Store } from "../store/db.ts";

/**
 * This browser as a device. Where the platform has no Ed25519 the signing seed lies under the wrapping key; on a device that others
 * use too (`guarded`) it lies at rest under the lock key, as everything that opens a key does.
 */
export interface KeptDevice {
  readonly id: string;
  readonly publicKey: Bytes;
  readonly signing:
    | { readonly kind: "handle"; readonly handle: CryptoKey }
    | { readonly kind: "sealed" | "guarded"; readonly box: Bytes };
  readonly wrapping: CryptoKey;
}

/** Keys that the server may or may not know yet: the answer to the request that made them known has not been seen. */
export interface Pending {
  readonly device: KeptDevice;
  /** The root key and the newest encryption seed, under the wrapping key, there being no share yet; of a shared device also the lock key. */
  readonly sealed: Bytes;
  readonly gen: number;
  /** Whether the root key stays at rest, as no recovery way is set. */
  readonly keepRoot: boolean;
  /** What certifies the device, and the hash of the entry whose identity signed it. */
  readonly certificate: { readonly h: string; readonly sig: string; readonly pop: string };
  readonly entry: Bytes;
}

/** Where a device lies in the store, and one whose making was not finished. */
export const DEVICE = "device";
export const PENDING = "pending";

/** Whether others use the device too: it opens by a guard. */
export function isGuarded(device: KeptDevice): boolean {
  return device.signing.kind === "guarded";
}

/** Whether what lies here of a person is guarded by a PIN or passkey: it stays when its person signs out. */
export async function hasGuard(store: Store): Promise<boolean> {
  const device = (await store.get<Pending>("keys", PENDING))?.device ?? (await store.get<KeptDevice>("keys", DEVICE));
  return device !== undefined && isGuarded(device);
}
