// Keys whose first request was sent but whose answer was lost: looked up before anything else is asked of the person.

import { sameBytes, unb64 } from "../crypto/encoding.ts";
import { type SessionState, post } from "../live/api.ts";
import { type Store } from "../store/db.ts";
import { bind, deviceName } from "./binding.ts";
import { type Pending, Resting, dropPending, dropWraps, keepDevice, keptPending, openPending } from "./local.ts";
import { type Given, type OwnKeys } from "./shapes.ts";
import { entryHash } from "./vault.ts";

/** Puts keys where they belong once the server has given their share. Order matters: nothing is dropped before it is kept again. */
export async function settle(store: Store, account: string, pending: Pending, given: Given): Promise<Resting> {
  const { root, seed } = await openPending(pending);
  const resting = new Resting(store, account, pending.device, unb64(given.share, 32));
  await resting.keep("puk", account, pending.gen, seed);
  if (pending.keepRoot) {
    await resting.keepRoot(root);
    await dropWraps(store);
  } else {
    await resting.dropRoot();
  }
  await keepDevice(store, pending.device);
  await dropPending(store);
  return resting;
}

/** Finishes what was begun, or forgets it if the server never heard of it. */
export async function finishPending(
  store: Store, account: string, session: SessionState, own: OwnKeys,
): Promise<Given | undefined> {
  const pending = await keptPending(store);
  if (pending === undefined) return undefined;
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
