// What this browser keeps of a person's keys: the device's two keys, which cannot be read out, and seeds at rest, which open
// only with the share that the server gives to this device's session (docs/protocol.md section 2).

import { type KeptKey, generateDeviceKey, keptFromSeed, publicKeyOfSeed, signerOf, type Signer, verify } from "../crypto/ed25519.ts";
import { type Bytes, aesOpen, aesSeal, b64, concat, hkdf, newId, pae, randomBytes, sameBytes } from "../crypto/encoding.ts";
import { type GuardMethod, type GuardText, LOCK_KEY_BYTES, type MadeGuard, SHARE_BYTES } from "../crypto/guard.ts";
import { type RestingPlace, generateDeviceWrappingKey, openAtRest, sealAtRest } from "../crypto/identity.ts";
import { Refused } from "../crypto/reasons.ts";
import { type UrkWrap, wayOf } from "../crypto/recovery.ts";
import { type Store, StoreFailed, sameKept } from "../store/db.ts";
import { DEVICE, type KeptDevice, PENDING, type Pending, isGuarded } from "./guarded.ts";
import { type Seed } from "./keyring.ts";

/** One tab at a time makes, restores or finishes the keys of an account. */
export function exclusively<T>(account: string, work: () => Promise<T>): Promise<T> {
  return navigator.locks.request(`portal-keys-${account}`, work);
}

const NONCE = 12;
const STAY = "stay";
const PLACE = "place";

type Wrapping = Pick<KeptDevice, "id" | "wrapping">;

/** Under the wrapping key; with `lock` also under the lock key. */
async function underWrapping(device: Wrapping, label: string, plain: Bytes, lock?: Bytes): Promise<Bytes> {
  const aad = pae(label, device.id);
  const seal = async (key: CryptoKey | Bytes, what: Bytes): Promise<Bytes> => {
    const nonce = randomBytes(NONCE);
    return concat(nonce, await aesSeal(key, nonce, aad, what));
  };
  return seal(device.wrapping, lock === undefined ? plain : await seal(lockedKey(lock, aad), plain));
}

async function openUnderWrapping(device: Wrapping, label: string, box: Bytes, lock?: Bytes): Promise<Bytes> {
  const aad = pae(label, device.id);
  const open = (key: CryptoKey | Bytes, sealed: Bytes): Promise<Bytes | undefined> =>
    aesOpen(key, sealed.slice(0, NONCE), aad, sealed.slice(NONCE));
  const once = await open(device.wrapping, box);
  const plain = once === undefined || lock === undefined ? once : await open(lockedKey(lock, aad), once);
  if (plain === undefined) throw new StoreFailed("a key of this device does not open");
  return plain;
}

function lockedKey(lock: Bytes, aad: Bytes): Bytes {
  return hkdf(lock, new Uint8Array(0), aad, 32);
}

/** A device that was just made. `lock`, its guard and the share for the server: of one that others use too. */
export interface NewDevice {
  readonly device: KeptDevice;
  readonly signer: Signer;
  readonly lock?: Bytes;
  readonly guard?: GuardText;
  /** What is sent with the certificate. */
  readonly request: { readonly guard?: { readonly method: GuardMethod; readonly share: string; readonly auth: string } };
}

/** Puts the lock key of a device under what its person chose. */
export interface Guarding {
  readonly method: GuardMethod;
  seal(place: { readonly user: string; readonly dev: string }, lock: Bytes, share: Bytes): Promise<MadeGuard>;
}

/** Whose a device is: its person's own, or one that others use too. */
export type Ownership = "mine" | Guarding;

/** Makes the keys of a device of `account`. */
export async function makeDevice(account: string, ownership: Ownership = "mine"): Promise<NewDevice> {
  if (ownership !== "mine") return makeShared(account, ownership);
  const [{ publicKey, kept }, wrapping] = await Promise.all([generateDeviceKey(), generateDeviceWrappingKey()]);
  const id = newId();
  const signing = kept.kind === "handle" ? kept : { kind: "sealed" as const, box: await underWrapping({ id, wrapping }, "resting-signature", kept.seed) };
  return { device: { id, publicKey, signing, wrapping }, signer: await signerOf(kept, publicKey), request: {} };
}

async function makeShared(account: string, guarding: Guarding): Promise<NewDevice> {
  const [seed, lock, share] = [randomBytes(32), randomBytes(LOCK_KEY_BYTES), randomBytes(SHARE_BYTES)];
  const [id, wrapping] = [newId(), await generateDeviceWrappingKey()];
  const publicKey = await publicKeyOfSeed(seed);
  const device: KeptDevice = {
    id, publicKey, wrapping,
    signing: { kind: "guarded", box: await sealAtRest(wrapping, lock, signaturePlace(account, id), seed) },
  };
  const { guard, auth } = await guarding.seal({ user: account, dev: id }, lock, share);
  return {
    device, lock, guard, signer: await signerOf(await keptFromSeed(seed), publicKey),
    request: { guard: { method: guarding.method, share: b64(share), auth: b64(auth) } },
  };
}

function signaturePlace(account: string, dev: string): RestingPlace {
  return { user: account, dev, what: "dsk", owner: account, gen: 1 };
}

/** The signing key as client/crypto takes it. `opened`: whose a shared device is, and its lock key. */
export async function signingKey(device: KeptDevice, opened?: { readonly account: string; readonly lock: Bytes }): Promise<KeptKey> {
  const { signing } = device;
  if (signing.kind === "handle") return signing;
  if (signing.kind === "sealed") return { kind: "seed", seed: await openUnderWrapping(device, "resting-signature", signing.box) };
  const seed = opened === undefined ? undefined
    : await openAtRest(device.wrapping, opened.lock, signaturePlace(opened.account, device.id), signing.box);
  if (seed === undefined) throw new StoreFailed("the signing key of this device does not open");
  return keptFromSeed(seed);
}

export async function deviceSigner(device: KeptDevice, opened?: { readonly account: string; readonly lock: Bytes }): Promise<Signer> {
  return signerOf(await signingKey(device, opened), device.publicKey);
}

/** Whether a device read back from the store still signs and wraps. Some browsers lose keys without saying so. */
async function works(device: KeptDevice, opened?: { readonly account: string; readonly lock: Bytes }): Promise<boolean> {
  const trial = randomBytes(32);
  const signature = await (await deviceSigner(device, opened)).sign(trial);
  if (!(await verify(device.publicKey, signature, trial))) return false;
  return sameBytes(await openUnderWrapping(device, "trial", await underWrapping(device, "trial", trial)), trial);
}

export function keptDevice(store: Store): Promise<KeptDevice | undefined> {
  return store.get<KeptDevice>("keys", DEVICE);
}

export function keepDevice(store: Store, device: KeptDevice, opened?: { readonly account: string; readonly lock: Bytes }): Promise<void> {
  return store.put("keys", DEVICE, device, (kept) => works(kept, opened));
}

/** Seals what must not be lost while the server is asked, and keeps it, with the guard of a shared device. */
export async function keepPending(
  store: Store, account: string, made: NewDevice, facts: Omit<Pending, "sealed" | "device">,
  secrets: { readonly root: Bytes; readonly seed: Bytes },
): Promise<Pending> {
  const { device, lock, guard } = made;
  const pending: Pending = { ...facts, device, sealed: await underWrapping(device, "pending", concat(secrets.root, secrets.seed), lock) };
  const opened = lock === undefined ? undefined : { account, lock };
  if (guard !== undefined) await keepGuard(store, guard);
  await store.put("keys", PENDING, pending, async (kept) => sameBytes(kept.sealed, pending.sealed) && (await works(kept.device, opened)));
  return pending;
}

/** Keeps the guard of a shared device; one for each method. */
export function keepGuard(store: Store, guard: GuardText): Promise<void> {
  return store.put("keys", `guard:${guard.method}`, guard, (kept) => kept.ct === guard.ct);
}

/** The guards that lie here. */
export async function keptGuards(store: Store): Promise<readonly GuardText[]> {
  return (await store.all<GuardText>("keys", "guard:")).map(([, guard]) => guard);
}

export function dropGuard(store: Store, method: GuardMethod): Promise<void> {
  return store.delete("keys", `guard:${method}`);
}

const GUARD_PASSKEY = "guard-passkey";

/** The credential id of the passkey that guards this device: so that the browser need not ask for all that lie in it. */
export function keepGuardPasskey(store: Store, credential: Bytes): Promise<void> {
  return store.put("keys", GUARD_PASSKEY, credential, sameKept(credential));
}

export function keptGuardPasskey(store: Store): Promise<Bytes | undefined> {
  return store.get<Bytes>("keys", GUARD_PASSKEY);
}

/** Keeps the lock key for the time of the session: only its own share opens it (docs/protocol.md section 2). */
export async function keepStay(store: Store, account: string, device: KeptDevice, share: Bytes, lock: Bytes): Promise<void> {
  const sealed = await sealAtRest(device.wrapping, share, stayPlace(account, device.id), lock);
  await store.put("keys", STAY, sealed, sameKept(sealed));
}

/** The lock key that was kept for the time of the session; undefined without it, or under another share. */
export async function openStay(store: Store, account: string, device: KeptDevice, share: Bytes): Promise<Bytes | undefined> {
  const sealed = await store.get<Bytes>("keys", STAY);
  return sealed === undefined ? undefined : openAtRest(device.wrapping, share, stayPlace(account, device.id), sealed);
}

/** The person left: what was kept for the time of the session goes. */
export function dropStay(store: Store): Promise<void> {
  return store.delete("keys", STAY);
}

/** Where the person was, to go on there; a path of the portal. */
export function keepPlace(store: Store, path: string): Promise<void> {
  return store.put("keys", PLACE, path);
}

export function keptPlace(store: Store): Promise<string | undefined> {
  return store.get<string>("keys", PLACE);
}

function stayPlace(account: string, dev: string): RestingPlace {
  return { user: account, dev, what: "lk", owner: account, gen: 1 };
}

export function keptPending(store: Store): Promise<Pending | undefined> {
  return store.get<Pending>("keys", PENDING);
}

export async function openPending(pending: Pending, lock?: Bytes): Promise<{ readonly root: Bytes; readonly seed: Bytes }> {
  const both = await openUnderWrapping(pending.device, "pending", pending.sealed, lock);
  return { root: both.slice(0, 32), seed: both.slice(32, 64) };
}

export function dropPending(store: Store): Promise<void> {
  return store.delete("keys", PENDING);
}

/** What lies at rest on one device of one person, opened by the share of the session, on a shared device by its lock key. */
export class Resting {
  constructor(
    private readonly store: Store, private readonly account: string, readonly device: KeptDevice, private readonly share: Bytes,
  ) {}

  private place(what: RestingPlace["what"], owner: string, gen: number): RestingPlace {
    return { user: this.account, dev: this.device.id, what, owner, gen };
  }

  /** Seals a seed, keeps it, and makes sure that it opens again. */
  async keep(what: "puk" | "team" | "urk", owner: string, gen: number, seed: Bytes): Promise<void> {
    const place = this.place(what, owner, gen);
    const sealed = await sealAtRest(this.device.wrapping, this.share, place, seed);
    await this.store.put("seeds", seedName(what, owner, gen), sealed, async (kept) => {
      const opened = sameKept(sealed)(kept) ? await openAtRest(this.device.wrapping, this.share, place, kept) : undefined;
      return opened !== undefined && sameBytes(opened, seed);
    });
  }

  async drop(what: "puk" | "team" | "urk", owner: string, gen: number): Promise<void> {
    await this.store.delete("seeds", seedName(what, owner, gen));
  }

  /** What lies here, not opened. */
  async names(): Promise<SeedName[]> {
    return (await this.store.all<Bytes>("seeds")).map(([name]) => readSeedName(name));
  }

  /** All encryption seeds that open. What another device or an older share sealed does not, and is left out. */
  async seeds(): Promise<Seed[]> {
    const found: Seed[] = [];
    for (const [name, sealed] of await this.store.all<Bytes>("seeds")) {
      const { what, owner, gen } = readSeedName(name);
      if (what === "urk") continue;
      const seed = await openAtRest(this.device.wrapping, this.share, this.place(what, owner, gen), sealed);
      if (seed !== undefined) found.push({ id: owner, gen, seed });
    }
    return found;
  }

  /** The root key, which lies here until a recovery way is set; undefined afterwards. */
  async root(): Promise<Bytes | undefined> {
    const sealed = await this.store.get<Bytes>("seeds", seedName("urk", this.account, 1));
    return sealed === undefined ? undefined : openAtRest(this.device.wrapping, this.share, this.place("urk", this.account, 1), sealed);
  }

  keepRoot(root: Bytes): Promise<void> {
    return this.keep("urk", this.account, 1, root);
  }

  dropRoot(): Promise<void> {
    return this.drop("urk", this.account, 1);
  }
}

interface SeedName {
  readonly what: "puk" | "team" | "urk";
  readonly owner: string;
  readonly gen: number;
}

function readSeedName(name: string): SeedName {
  const [what, owner, gen] = name.split(":") as [SeedName["what"], string, string];
  return { what, owner, gen: Number(gen) };
}

function seedName(what: string, owner: string, gen: number): string {
  return `${what}:${owner}:${gen}`;
}

const WRAP = "wrap:";

/** A certified device keeps its wraps, so that trying a recovery way out asks nobody; one that others use too keeps none. */
export async function keepWrap(store: Store, wrap: UrkWrap): Promise<void> {
  const device = await keptDevice(store);
  if (device !== undefined && isGuarded(device)) return;
  await store.put("keys", WRAP + wayOf(wrap), wrap, (kept) => kept.ct === wrap.ct);
}

/** The wrap of a way back, as this device keeps it. */
export function keptWrap(store: Store, way: string): Promise<UrkWrap | undefined> {
  return store.get<UrkWrap>("keys", WRAP + way);
}

export function dropWrap(store: Store, way: string): Promise<void> {
  return store.delete("keys", WRAP + way);
}

export async function dropWraps(store: Store): Promise<void> {
  for (const [name] of await store.all("keys", WRAP)) await store.delete("keys", name);
}

/** Forgets device, seeds and wraps: this device was ended. The outbox stays until its owner says otherwise. */
export async function forgetKeys(store: Store): Promise<void> {
  for (const [name] of await store.all("seeds")) await store.delete("seeds", name);
  await dropWraps(store);
  for (const { method } of await keptGuards(store)) await dropGuard(store, method);
  await store.delete("keys", GUARD_PASSKEY);
  await dropStay(store);
  await store.delete("keys", DEVICE);
}

/** Refuses to go on with what a browser did not keep. */
export function needed<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Refused("wrap", what);
  return value;
}
