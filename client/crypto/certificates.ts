// Device certificates and revocations (docs/protocol.md section 3): a user's identity vouches for a device key, the device
// shows that it holds it, and the identity takes it back.

import { type Signer, verify as verifyEd25519 } from "./ed25519.ts";
import { type Bytes, b64, pae, sha256, unb64, utf8 } from "./encoding.ts";
import { bytes, headerObject, id, integer, onlyMembers, optional, text, versionAndType } from "./form.ts";
import { type KnownIdentity } from "./directory.ts";
import { type IdentityKeys, type IdentitySeeds, sign as signHybrid, verify as verifyHybrid } from "./hybrid.ts";
import { Refused, attemptAsync, refused } from "./reasons.ts";

/** A certificate as it travels. */
export interface CertificateText {
  readonly h: string;
  readonly sig: string;
  readonly pop: string;
}

/** A revocation as it travels. */
export interface RevocationText {
  readonly h: string;
  readonly sig: string;
}

/** A device whose certificate holds. */
export interface VerifiedDevice {
  readonly dev: string;
  readonly user: string;
  readonly ed: Bytes;
  /** When the certificate was made, as it claims; Unix milliseconds. */
  readonly ts: number | undefined;
  /** The newest generation of the entries whose identity signed the certificate. */
  readonly gen: number;
  /** The identity that signed the certificate. */
  readonly signer: IdentityKeys | undefined;
  readonly text: CertificateText;
}

/** What a certificate says, not yet verified. */
export interface CertificateHeader {
  readonly h: Bytes;
  readonly user: string;
  readonly dev: string;
  readonly ed: Bytes;
  readonly ts: number | undefined;
}

/** Reads what a certificate says. Throws `Refused` with form, version or type. */
export function certificateHeader(certificate: CertificateText): CertificateHeader {
  const h = unb64(certificate.h);
  const members = headerObject(h);
  versionAndType(members, ["dev"]);
  onlyMembers(members, ["v", "t", "user", "dev", "ed", "ts"]);
  return {
    h,
    user: id(members.get("user")),
    dev: id(members.get("dev")),
    ed: bytes(32)(members.get("ed")),
    ts: optional(members.get("ts"), integer),
  };
}

interface Facts extends CertificateHeader {
  readonly text: CertificateText;
  readonly claimed: { readonly user: string; readonly dev: string };
  readonly identities: readonly KnownIdentity[];
  /** Set by the step that finds the identity. */
  gen: number;
  signer: IdentityKeys | undefined;
}

/** One check of a certificate by name; false refuses. */
export interface CertificateStep {
  readonly name: string;
  readonly holds: (facts: Facts) => boolean | Promise<boolean>;
}

/** The checks of a certificate, in their order. */
export const CERTIFICATE_STEPS: readonly CertificateStep[] = [
  { name: "certificate device", holds: ({ dev, claimed }) => dev === claimed.dev },
  { name: "certificate user", holds: ({ user, claimed }) => user === claimed.user },
  { name: "certificate signature", holds: underAnyIdentity },
  {
    // Also refuses a key of small order or another form: nothing verifies under it.
    name: "certificate possession",
    holds: async ({ user, dev, ed, text: { pop } }) => {
      const signature = unb64(pop, 64);
      return verifyEd25519(ed, signature, popBytes(user, dev, ed));
    },
  },
];

async function underAnyIdentity(facts: Facts): Promise<boolean> {
  for (const { keys, gen } of facts.identities) {
    if (await verifyHybrid(keys, facts.text.sig, pae("dev", facts.h))) {
      facts.gen = gen;
      facts.signer = keys;
      return true;
    }
  }
  return false;
}

function popBytes(user: string, dev: string, ed: Bytes): Bytes {
  return pae("dev-pop", user, dev, ed);
}

const remembered = new Map<string, VerifiedDevice>();
const REMEMBERED_LIMIT = 1024;

/** Forgets the certificates that were found to hold (for tests, and when keys are wiped). */
export function forgetCertificates(): void {
  remembered.clear();
}

/**
 * Verifies that `certificate` stands for this device of this user, under one of the identities of the user's verified chain.
 * Every fault has the reason `certificate`. What holds is remembered with all that it was held against, so that a certificate
 * costs its three signatures once.
 */
export async function verifyCertificate(
  certificate: CertificateText, claimed: { readonly user: string; readonly dev: string },
  identities: readonly KnownIdentity[], steps: readonly CertificateStep[] = CERTIFICATE_STEPS,
): Promise<VerifiedDevice | Refused> {
  const { h, sig, pop } = certificate;
  const against = identities.flatMap(({ keys, gen }) => [keys.ed, keys.ml, gen]);
  const name = [h, sig, pop, claimed.user, claimed.dev, b64(sha256(pae(...against)))].join(" ");
  const known = steps === CERTIFICATE_STEPS ? remembered.get(name) : undefined;
  if (known !== undefined) return known;
  const result = await attemptAsync(async () => {
    const facts: Facts = { text: certificate, claimed, identities, gen: 0, signer: undefined, ...certificateHeader(certificate) };
    if (typeof sig !== "string") throw new Refused("form", "no signature");
    for (const step of steps) {
      if (!(await step.holds(facts))) throw new Refused("certificate", step.name);
    }
    return { dev: facts.dev, user: facts.user, ed: facts.ed, ts: facts.ts, gen: facts.gen, signer: facts.signer, text: certificate };
  });
  if (refused(result)) return result.reason === "certificate" ? result : new Refused("certificate", result.message);
  if (steps === CERTIFICATE_STEPS) {
    if (remembered.size >= REMEMBERED_LIMIT) remembered.clear();
    remembered.set(name, result);
  }
  return result;
}

/** Makes the certificate of a device: the identity signs, the device shows possession. */
export async function makeCertificate(
  identity: IdentitySeeds, device: Signer, facts: { readonly user: string; readonly dev: string; readonly ts: number },
): Promise<CertificateText> {
  const { user, dev, ts } = facts;
  const h = utf8(JSON.stringify({ v: 1, t: "dev", user, dev, ed: b64(device.publicKey), ts }));
  return {
    h: b64(h),
    sig: await signHybrid(identity, pae("dev", h)),
    pop: b64(await device.sign(popBytes(user, dev, device.publicKey))),
  };
}

/** What a revocation says. */
export interface Revocation {
  readonly user: string;
  readonly dev: string;
  readonly ts: number;
}

/** Verifies a revocation of `dev` by its user. Every fault has the reason `revocation`. */
export async function verifyRevocation(
  revocation: RevocationText, claimed: { readonly user: string; readonly dev: string },
  identities: readonly KnownIdentity[],
): Promise<Revocation | Refused> {
  const result = await attemptAsync(async () => {
    const h = unb64(revocation.h);
    const members = headerObject(h);
    versionAndType(members, ["devrev"]);
    onlyMembers(members, ["v", "t", "user", "dev", "ts"]);
    const said = { user: id(members.get("user")), dev: id(members.get("dev")), ts: integer(members.get("ts")) };
    if (said.user !== claimed.user || said.dev !== claimed.dev) throw new Refused("revocation", "of another device");
    const sig = text(revocation.sig as string);
    for (const { keys } of identities) {
      if (await verifyHybrid(keys, sig, pae("devrev", h))) return said;
    }
    throw new Refused("revocation", "signature");
  });
  if (!(result instanceof Refused) || result.reason === "revocation") return result;
  return new Refused("revocation", result.message);
}

/** Makes the revocation of a device. */
export async function makeRevocation(identity: IdentitySeeds, facts: Revocation): Promise<RevocationText> {
  const { user, dev, ts } = facts;
  const h = utf8(JSON.stringify({ v: 1, t: "devrev", user, dev, ts }));
  return { h: b64(h), sig: await signHybrid(identity, pae("devrev", h)) };
}
