// Keys whose first request was sent but whose answer was lost: looked up before anything else is asked of the person.

import { type Bytes, sameBytes, unb64 } from "../crypto/encoding.ts";
import { type SessionState, post } from "../live/api.ts";
import { type Store } from "../store/db.ts";
import { bind, deviceName } from "./binding.ts";
import { isGuarded } from "./guarded.ts";
import type { Pending } from "./guarded.ts";
import { Resting, dropPending, dropWraps, keepDevice, keepStay, keptPending, openPending } from "./local.ts";
import { type Given, type OwnKeys } from "./shapes.ts";
import { entryHash } from "./vault.ts";

/**
 * Puts keys where they belong once the server has given their share, of a shared device (`lock`) that for the time of the session.
 * Order matters: nothing is dropped before it is kept again.
 */
export async function settle(store: Store, account: string, pending: Pending, given: Given, lock?: Bytes): Promise<Resting> {
  const { root, seed } = await openPending(pending, lock);
  const share = unb64(given.share, 32);
  const resting = new Resting(store, account, pending.device, lock ?? share);
  await resting.keep("puk", account, pending.gen, seed);
  if (pending.keepRoot) {
    await resting.keepRoot(root);
    await dropWraps(store);
  } else {
    await resting.dropRoot();
  }
  await keepDevice(store, pending.device, lock === undefined ? undefined : { account, lock });
  if (lock !== undefined) {
    await dropWraps(store);
    await keepStay(store, account, pending.device, share, lock);
  }
  await dropPending(store);
  return resting;
}

/**
 * Finishes what was begun, or forgets it if the server never heard of it. What was begun on a shared device is finished with its
 * lock key; without its own share at the server it is of no use.
 */
export async function finishPending(
  store: Store, account: string, session: SessionState, own: OwnKeys, opened?: { readonly lock: Bytes; readonly given: Given },
): Promise<Given | undefined> {
  const pending = await keptPending(store);
  if (pending === undefined) return undefined;
  if (isGuarded(pending.device)) {
    const known = own.devices.find((one) => one.id === pending.device.id)?.state === "active";
    if (known && opened !== undefined) await settle(store, account, pending, opened.given, opened.lock);
    else if (!known) await dropPending(store);
    return known ? opened?.given : undefined;
  }
  const newest = own.entries.at(-1);
  const ours = newest !== undefined && sameBytes(entryHash(newest.h), pending.entry);
  const listed = own.devices.find((one) => one.id === pending.device.id);
  if (listed?.state === "active" && session.device_challenge !== null) {
    const given = await bind(session, pending.device);
    await settle(store, account, pending, given);
    return given;
  }
  if (ours && listed === undefined) {
    const given = await post<Given>("/api/keys/devices", { certificate: pending.certificate, name: deviceName() });
    await settle(store, account, pending, given);
    return given;
  }
  await dropPending(store);
  return undefined;
}
