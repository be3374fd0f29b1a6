// Whether others use a device too, told by what lies here and without any cryptography: pages of the server ask it, too.

import type { Store } from "../store/db.ts";
import type { KeptDevice, Pending } from "./local.ts";

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
