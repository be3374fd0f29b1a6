// The keys a person holds in this browser while it is unlocked: the device's signature, and the encryption seeds of the person
// and of the person's teams. In memory only; locking wipes it. It can be handed to the crypto worker and made again there.

import { type KeptKey, type Signer, signerOf } from "../crypto/ed25519.ts";
import { type Bytes } from "../crypto/encoding.ts";
import { type Keyring as SeedSource, Keys } from "../crypto/open.ts";

/** One 32-byte encryption seed of a person or a team. */
export interface Seed {
  readonly id: string;
  readonly gen: number;
  readonly seed: Bytes;
}

/** A keyring as it is handed to a worker (structured clone; the signing key stays unreadable where the platform can). */
export interface KeyMaterial {
  readonly account: string;
  readonly device: string;
  readonly publicKey: Bytes;
  readonly signing: KeptKey;
  readonly seeds: readonly Seed[];
}

/** What opens and signs. `seed` makes it a keyring of client/crypto (ThreadReader, openTeam, openObject …). */
export class Keyring implements SeedSource {
  private readonly keys = new Keys();
  private readonly known = new Map<string, Set<number>>();
  private wiped = false;

  private constructor(
    /** The person: account id, which is also the directory id. */
    readonly account: string,
    /** This browser's device id, as it stands in headers (`dev`). */
    readonly device: string,
    /** The device's signature (DSK). */
    readonly signer: Signer,
    private readonly signing: KeptKey,
  ) {}

  /** Makes a keyring, in a page or in a worker. */
  static async from(material: KeyMaterial): Promise<Keyring> {
    const signer = await signerOf(material.signing, material.publicKey);
    const made = new Keyring(material.account, material.device, signer, material.signing);
    for (const one of material.seeds) made.add(one);
    return made;
  }

  /** The seed of an id in a generation; undefined when this browser does not hold it, or was locked. */
  seed(id: string, gen: number): Bytes | undefined {
    return this.keys.seed(id, gen);
  }

  /** The generations of an id that are held, the newest first. */
  generations(id: string): readonly number[] {
    return [...(this.known.get(id) ?? [])].toSorted((left, right) => right - left);
  }

  /** The newest generation of an id that is held. */
  newest(id: string): number | undefined {
    return this.generations(id)[0];
  }

  /** The teams whose keys are held: their threads can be opened here. */
  get teams(): readonly string[] {
    return [...this.known.keys()].filter((id) => id !== this.account);
  }

  /** Adds a seed that was opened or made. */
  add({ id, gen, seed }: Seed): void {
    if (this.wiped) throw new Error("this keyring was wiped");
    this.keys.add(id, gen, seed.slice());
    const generations = this.known.get(id) ?? new Set<number>();
    this.known.set(id, generations.add(gen));
  }

  /** Signs as this device. Throws when it was wiped. */
  sign(message: Bytes): Promise<Bytes> {
    if (this.wiped) throw new Error("this keyring was wiped");
    return this.signer.sign(message);
  }

  /** Everything a worker needs to make the same keyring. */
  material(): KeyMaterial {
    const seeds: Seed[] = [];
    for (const [id, generations] of this.known) {
      for (const gen of generations) {
        const seed = this.keys.seed(id, gen);
        if (seed !== undefined) seeds.push({ id, gen, seed });
      }
    }
    return { account: this.account, device: this.device, publicKey: this.signer.publicKey, signing: this.signing, seeds };
  }

  /** Overwrites and forgets all seeds: the screen is locked. */
  wipe(): void {
    this.wiped = true;
    this.keys.wipe();
    this.known.clear();
  }
}
