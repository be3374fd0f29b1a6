// What this browser keeps of a person's keys: the device's two keys, which cannot be read out, and seeds at rest, which open
// only with the share that the server gives to this device's session (docs/protocol.md section 2).

import { type KeptKey, generateDeviceKey, signerOf, type Signer, verify } from "../crypto/ed25519.ts";
import { type Bytes, aesOpen, aesSeal, concat, newId, pae, randomBytes, sameBytes } from "../crypto/encoding.ts";
import { type RestingPlace, generateDeviceWrappingKey, openAtRest, sealAtRest } from "../crypto/identity.ts";
import { Refused } from "../crypto/reasons.ts";
import { type UrkWrap, wayOf } from "../crypto/recovery.ts";
import { type Store, StoreFailed, sameKept } from "../store/db.ts";
import { type Seed } from "./keyring.ts";

/** This browser as a device. Where the platform has no Ed25519 the signing seed lies under the wrapping key. */
export interface KeptDevice {
  readonly id: string;
  readonly publicKey: Bytes;
  readonly signing: { readonly kind: "handle"; readonly handle: CryptoKey } | { readonly kind: "sealed"; readonly box: Bytes };
  readonly wrapping: CryptoKey;
}

/** Keys that the server may or may not know yet: the answer to the request that made them known has not been seen. */
export interface Pending {
  readonly device: KeptDevice;
  /** The root key and the newest encryption seed, under the wrapping key alone: there is no share yet. */
  readonly sealed: Bytes;
  readonly gen: number;
  /** Whether the root key stays at rest, as no recovery way is set. */
  readonly keepRoot: boolean;
  /** What certifies the device, and the hash of the entry whose identity signed it. */
  readonly certificate: { readonly h: string; readonly sig: string; readonly pop: string };
  readonly entry: Bytes;
}

/** One tab at a time makes, restores or finishes the keys of an account. */
export function exclusively<T>(account: string, work: () => Promise<T>): Promise<T> {
  return navigator.locks.request(`portal-keys-${account}`, work);
}

const NONCE = 12;
const DEVICE = "device";
const PENDING = "pending";

async function underWrapping(device: { id: string; wrapping: CryptoKey }, label: string, plain: Bytes): Promise<Bytes> {
  const nonce = randomBytes(NONCE);
  return concat(nonce, await aesSeal(device.wrapping, nonce, pae(label, device.id), plain));
}

async function openUnderWrapping(device: { id: string; wrapping: CryptoKey }, label: string, box: Bytes): Promise<Bytes> {
  const plain = await aesOpen(device.wrapping, box.slice(0, NONCE), pae(label, device.id), box.slice(NONCE));
  if (plain === undefined) throw new StoreFailed("a key of this device does not open");
  return plain;
}

/** Makes the two keys of a device. */
export async function makeDevice(): Promise<KeptDevice> {
  const [{ publicKey, kept }, wrapping] = await Promise.all([generateDeviceKey(), generateDeviceWrappingKey()]);
  const id = newId();
  if (kept.kind === "handle") return { id, publicKey, signing: kept, wrapping };
  return { id, publicKey, signing: { kind: "sealed", box: await underWrapping({ id, wrapping }, "resting-signature", kept.seed) }, wrapping };
}

/** The signing key as client/crypto takes it. */
export async function signingKey(device: KeptDevice): Promise<KeptKey> {
  if (device.signing.kind === "handle") return device.signing;
  return { kind: "seed", seed: await openUnderWrapping(device, "resting-signature", device.signing.box) };
}

export async function deviceSigner(device: KeptDevice): Promise<Signer> {
  return signerOf(await signingKey(device), device.publicKey);
}

/** Whether a device read back from the store still signs and wraps. Some browsers lose keys without saying so. */
async function works(device: KeptDevice): Promise<boolean> {
  const trial = randomBytes(32);
  const signature = await (await deviceSigner(device)).sign(trial);
  if (!(await verify(device.publicKey, signature, trial))) return false;
  return sameBytes(await openUnderWrapping(device, "trial", await underWrapping(device, "trial", trial)), trial);
}

export function keptDevice(store: Store): Promise<KeptDevice | undefined> {
  return store.get<KeptDevice>("keys", DEVICE);
}

export function keepDevice(store: Store, device: KeptDevice): Promise<void> {
  return store.put("keys", DEVICE, device, works);
}

/** Seals what must not be lost while the server is asked, and keeps it. */
export async function keepPending(
  store: Store, facts: Omit<Pending, "sealed">, secrets: { readonly root: Bytes; readonly seed: Bytes },
): Promise<Pending> {
  const pending: Pending = { ...facts, sealed: await underWrapping(facts.device, "pending", concat(secrets.root, secrets.seed)) };
  await store.put("keys", PENDING, pending, async (kept) => sameBytes(kept.sealed, pending.sealed) && (await works(kept.device)));
  return pending;
}

export function keptPending(store: Store): Promise<Pending | undefined> {
  return store.get<Pending>("keys", PENDING);
}

export async function openPending(pending: Pending): Promise<{ readonly root: Bytes; readonly seed: Bytes }> {
  const both = await openUnderWrapping(pending.device, "pending", pending.sealed);
  return { root: both.slice(0, 32), seed: both.slice(32, 64) };
}

export function dropPending(store: Store): Promise<void> {
  return store.delete("keys", PENDING);
}

/** What lies at rest on one device of one person, opened by the share of the session. */
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

/** A certified device keeps its wraps, so that trying a recovery way out asks nobody. */
export async function keepWrap(store: Store, wrap: UrkWrap): Promise<void> {
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
  await store.delete("keys", DEVICE);
}

/** Refuses to go on with what a browser did not keep. */
export function needed<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Refused("wrap", what);
  return value;
}
