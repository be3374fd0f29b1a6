// What lies sealed beside the threads: objects of a person or a team, root boxes with a person's own seeds, and inbound mail
// (docs/protocol.md section 8).

import { type CertificateText, type VerifiedDevice, certificateHeader, verifyCertificate } from "./certificates.ts";
import { type UserChain } from "./directory.ts";
import { type Signer, verify as verifyEd25519 } from "./ed25519.ts";
import { type Bytes, aesOpen, aesSeal, b64, bigHash, concat, hkdf, pae, randomBytes, sameBytes, unb64, utf8 } from "./encoding.ts";
import { bytes, headerObject, id, integer, longId, oneOf, onlyMembers, positive, versionAndType } from "./form.ts";
import { SEED_BYTES, open as openHpke, publicKeyOf, seal as sealHpke } from "./hpke.ts";
import { type IdentitySeeds, identityKeys } from "./hybrid.ts";
import { pad, unpad } from "./padding.ts";
import { type Reason, Refused, attempt, attemptAsync, refused } from "./reasons.ts";
import { keyId } from "./records.ts";
import { type DirectoryView } from "./state.ts";
import { speaksFor } from "./steps.ts";

/** Key and nonce for one header under one seed. */
function boxKey(ikm: Bytes, salt: Bytes, label: string, h: Bytes): { key: Bytes; nonce: Bytes } {
  const out = hkdf(ikm, salt, pae(label, h), 44);
  return { key: out.slice(0, 32), nonce: out.slice(32, 44) };
}

/** A sealed object as it travels. */
export interface ObjectText {
  readonly h: string;
  readonly ct: string;
  readonly sig: string;
}

/** What an object's header says. */
export interface ObjectHeader {
  readonly owner: string;
  readonly kind: string;
  readonly id: string;
  readonly rev: number;
  readonly gen: number;
  readonly salt: Bytes;
  readonly dev: string;
  readonly ts: number;
}

/** Seals an object under the seed of its owner's generation. */
export async function sealObject(
  facts: Omit<ObjectHeader, "salt">, seed: Bytes, content: Bytes, signer: Signer,
): Promise<ObjectText> {
  const salt = randomBytes(16);
  const { owner, kind, id: name, rev, gen, dev, ts } = facts;
  const h = utf8(JSON.stringify({ v: 1, t: "obj", owner, kind, id: name, rev, gen, salt: b64(salt), dev, ts }));
  const { key, nonce } = boxKey(seed, salt, "obj-key", h);
  const ct = await aesSeal(key, nonce, h, pad(content));
  return { h: b64(h), ct: b64(ct), sig: b64(await signer.sign(pae("obj", h, await bigHash(ct)))) };
}

/** The object that was asked for, and the revision seen last. */
export interface WantedObject {
  readonly owner: string;
  readonly kind: string;
  readonly id: string;
  readonly seenRev?: number;
}

interface ObjectFacts {
  readonly header: ObjectHeader;
  readonly h: Bytes;
  readonly ct: Bytes;
  readonly sig: Bytes;
  readonly wanted: WantedObject;
  readonly directory: DirectoryView;
  /** Set by the steps that find them. */
  user: string;
  device: VerifiedDevice | undefined;
}

/** One check of an object by name. */
export interface ObjectStep {
  readonly name: string;
  readonly check: (facts: ObjectFacts) => Reason | undefined | Promise<Reason | undefined>;
}

/** The checks of a sealed object after its form, in their order. */
export const OBJECT_STEPS: readonly ObjectStep[] = [
  {
    name: "object asked for",
    check: ({ header, wanted }) =>
      header.owner === wanted.owner && header.kind === wanted.kind && header.id === wanted.id ? undefined : "object",
  },
  { name: "object revision", check: ({ header, wanted }) => (header.rev >= (wanted.seenRev ?? 0) ? undefined : "rollback") },
  {
    name: "object device",
    check: (facts) => {
      const shown = facts.directory.device(facts.header.dev);
      if (shown === undefined) return "unknown device";
      const said = attempt(() => certificateHeader(shown));
      if (refused(said)) return "certificate";
      facts.user = said.user;
      return undefined;
    },
  },
  { name: "object user", check: ({ directory, user }) => (directory.user(user) ? undefined : "unknown user") },
  {
    name: "object certificate",
    check: async (facts) => {
      const { directory, user, header: { dev, owner, gen } } = facts;
      const shown = directory.device(dev) as CertificateText;
      const device = await verifyCertificate(shown, { user, dev }, directory.identities(user));
      // An identity that was replaced before this generation of the owner's own key no longer counts.
      if (refused(device) || (user === owner && device.gen < gen)) return "certificate";
      facts.device = device;
      return undefined;
    },
  },
  {
    name: "object writer",
    check: ({ directory, user, device, header: { owner, gen } }) =>
      user === owner || speaksFor({ user, signer: device?.signer }, owner, gen, directory) ? undefined : "not a member",
  },
  {
    name: "object signature",
    check: async ({ device, sig, h, ct }) =>
      device !== undefined && (await verifyEd25519(device.ed, sig, pae("obj", h, await bigHash(ct)))) ? undefined : "signature",
  },
];

/** An opened object. */
export interface OpenedObject {
  readonly header: ObjectHeader;
  readonly user: string;
  readonly content: Bytes;
}

/** Verifies and opens an object. `seedOf` gives the owner's seed of a generation; without one it is `aead`. */
export function openObject(
  text: ObjectText, wanted: WantedObject, directory: DirectoryView, seedOf: (gen: number) => Bytes | undefined,
  steps: readonly ObjectStep[] = OBJECT_STEPS,
): Promise<OpenedObject | Refused> {
  return attemptAsync(async () => {
    const h = unb64(text.h);
    const sig = unb64(text.sig);
    const header = readObjectHeader(h);
    if (sig.length !== 64) throw new Refused("form", "a signature has 64 bytes");
    const facts: ObjectFacts = { header, h, sig, ct: unb64(text.ct), wanted, directory, user: "", device: undefined };
    for (const step of steps) {
      const reason = await step.check(facts);
      if (reason !== undefined) throw new Refused(reason, step.name);
    }
    const seed = seedOf(header.gen);
    if (seed === undefined) throw new Refused("aead", "a generation that this reader does not hold");
    const { key, nonce } = boxKey(seed, header.salt, "obj-key", h);
    const padded = await aesOpen(key, nonce, h, facts.ct);
    if (padded === undefined) throw new Refused("aead");
    return { header, user: facts.user, content: unpad(padded) };
  });
}

function readObjectHeader(h: Bytes): ObjectHeader {
  const members = headerObject(h);
  versionAndType(members, ["obj"]);
  onlyMembers(members, ["v", "t", "owner", "kind", "id", "rev", "gen", "salt", "dev", "ts"]);
  return {
    owner: id(members.get("owner")),
    kind: id(members.get("kind")),
    id: id(members.get("id")),
    rev: positive(members.get("rev")),
    gen: positive(members.get("gen")),
    salt: bytes(16)(members.get("salt")),
    dev: id(members.get("dev")),
    ts: integer(members.get("ts")),
  };
}

/** A root box as it travels: seeds under the user root key. */
export interface RootBoxText {
  readonly h: string;
  readonly ct: string;
}

/** What lies in a root box: `uik` of entry n, or `puk` of generation n. */
export interface RootBoxName {
  readonly user: string;
  readonly kind: "uik" | "puk";
  readonly n: number;
}

/** Seals a person's identity seeds under the root key; `n` is the number of the entry that introduced the identity. */
export function sealIdentity(urk: Bytes, user: string, n: number, seeds: IdentitySeeds, ts: number): Promise<RootBoxText> {
  return sealRoot(urk, { user, kind: "uik", n }, concat(seeds.ed, seeds.ml), ts);
}

/** Seals a person's encryption seed of one generation under the root key. */
export function sealEncryptionSeed(urk: Bytes, user: string, gen: number, seed: Bytes, ts: number): Promise<RootBoxText> {
  return sealRoot(urk, { user, kind: "puk", n: gen }, seed, ts);
}

async function sealRoot(urk: Bytes, name: RootBoxName, secret: Bytes, ts: number): Promise<RootBoxText> {
  const salt = randomBytes(16);
  const { user, kind, n } = name;
  const h = utf8(JSON.stringify({ v: 1, t: "root", user, kind, n, salt: b64(salt), ts }));
  const { key, nonce } = boxKey(urk, salt, "root-key", h);
  return { h: b64(h), ct: b64(await aesSeal(key, nonce, h, secret)) };
}

/** Opens the identity of entry `n`; its public keys must be those of the directory. */
export function openIdentity(text: RootBoxText, urk: Bytes, chain: UserChain, n: number): Promise<IdentitySeeds | Refused> {
  return attemptAsync(async () => {
    const secret = await openRoot(text, urk, { user: chain.id, kind: "uik", n });
    if (secret.length !== 64) throw new Refused("member key", "not two seeds");
    const seeds: IdentitySeeds = { ed: secret.slice(0, 32), ml: secret.slice(32, 64) };
    const keys = await identityKeys(seeds);
    const entry = chain.entries[n - 1];
    if (entry === undefined || !sameBytes(keys.ed, entry.keys.ed) || !sameBytes(keys.ml, entry.keys.ml)) {
      throw new Refused("member key", "seeds of another identity");
    }
    return seeds;
  });
}

/** Opens the encryption seed of a generation; its public key must be that of the directory. */
export function openEncryptionSeed(text: RootBoxText, urk: Bytes, chain: UserChain, gen: number): Promise<Bytes | Refused> {
  return attemptAsync(async () => {
    const seed = await openRoot(text, urk, { user: chain.id, kind: "puk", n: gen });
    const entry = chain.entry(gen);
    if (entry === undefined || seed.length !== SEED_BYTES || !sameBytes(await publicKeyOf(seed), entry.kem))
      throw new Refused("member key", "another key's seed");
    return seed;
  });
}

/** Reads what a root box says it holds. Throws `Refused`. */
export function rootBoxName(text: RootBoxText): RootBoxName {
  return readRoot(unb64(text.h)).name;
}

function readRoot(h: Bytes): { name: RootBoxName; salt: Bytes } {
  const members = headerObject(h);
  versionAndType(members, ["root"]);
  onlyMembers(members, ["v", "t", "user", "kind", "n", "salt", "ts"]);
  const name: RootBoxName = {
    user: id(members.get("user")), kind: oneOf("uik", "puk")(members.get("kind")), n: positive(members.get("n")),
  };
  integer(members.get("ts"));
  return { name, salt: bytes(16)(members.get("salt")) };
}

async function openRoot(text: RootBoxText, urk: Bytes, wanted: RootBoxName): Promise<Bytes> {
  const h = unb64(text.h);
  const { name, salt } = readRoot(h);
  const ct = unb64(text.ct);
  if (name.user !== wanted.user || name.kind !== wanted.kind || name.n !== wanted.n) throw new Refused("object");
  const { key, nonce } = boxKey(urk, salt, "root-key", h);
  const secret = await aesOpen(key, nonce, h, ct);
  if (secret === undefined) throw new Refused("aead");
  return secret;
}

/** Mail or a web form that the server sealed to a team; never a record of a chain. */
export interface InboundText {
  readonly h: string;
  readonly ct: string;
}

export interface InboundHeader {
  readonly team: string;
  readonly gen: number;
  readonly kid: Bytes;
  readonly id: string;
  readonly ts: number;
  readonly via: "mail" | "form";
}

/** Opens what came by mail or form: "not end-to-end, sender not verified". */
export function openInbound(
  text: InboundText, wanted: { readonly team: string; readonly id: string }, directory: Pick<DirectoryView, "user">,
  seedOf: (gen: number) => Bytes | undefined,
): Promise<{ readonly header: InboundHeader; readonly content: Bytes } | Refused> {
  return attemptAsync(async () => {
    const h = unb64(text.h);
    const header = readInbound(h);
    const ct = unb64(text.ct);
    if (header.team !== wanted.team || header.id !== wanted.id) throw new Refused("object");
    const entry = directory.user(header.team, header.gen);
    if (entry === undefined || !sameBytes(entry.kid, header.kid)) throw new Refused("member key");
    const seed = seedOf(header.gen);
    const padded = seed === undefined ? undefined : await openHpke(seed, pae("inbound", h), ct);
    if (padded === undefined) throw new Refused("wrap");
    return { header, content: unpad(padded) };
  });
}

function readInbound(h: Bytes): InboundHeader {
  const members = headerObject(h);
  versionAndType(members, ["inbound"]);
  onlyMembers(members, ["v", "t", "team", "gen", "kid", "id", "ts", "via"]);
  return {
    team: id(members.get("team")),
    gen: positive(members.get("gen")),
    kid: bytes(16)(members.get("kid")),
    id: longId(members.get("id")),
    ts: integer(members.get("ts")),
    via: oneOf("mail", "form")(members.get("via")),
  };
}

/** Seals an inbound object, as the server does; here for tests and vectors. */
export async function sealInbound(
  facts: Omit<InboundHeader, "kid">, kem: Bytes, content: Bytes,
): Promise<InboundText> {
  const { team, gen, id: name, ts, via } = facts;
  const h = utf8(JSON.stringify({ v: 1, t: "inbound", team, gen, kid: b64(keyId(kem)), id: name, ts, via }));
  return { h: b64(h), ct: b64(await sealHpke(kem, pae("inbound", h), pad(content))) };
}
