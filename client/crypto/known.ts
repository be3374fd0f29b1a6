// The directory as a client knows it: only what was verified goes in, and threads ask it.

import { type CertificateText, type Revocation } from "./certificates.ts";
import { type Entry, type KnownIdentity, type UserChain } from "./directory.ts";
import { type Bytes } from "./encoding.ts";
import { type TeamChain } from "./teams.ts";
import { type DirectoryView } from "./state.ts";

/** Verified chains of persons, services and teams, certificates as shown, verified revocations. */
export class KnownDirectory implements DirectoryView {
  private readonly users = new Map<string, UserChain>();
  private readonly teams = new Map<string, TeamChain>();
  private readonly certificates = new Map<string, CertificateText>();
  private readonly revocations = new Set<string>();

  addUser(chain: UserChain): void {
    this.users.set(chain.id, chain);
  }

  addTeam(chain: TeamChain): void {
    this.teams.set(chain.id, chain);
  }

  /** A certificate may be added unverified: each thread verifies it before it counts. */
  addCertificate(dev: string, certificate: CertificateText): void {
    this.certificates.set(dev, certificate);
  }

  /** Takes what `verifyRevocation` gave. */
  addRevocation(revocation: Revocation): void {
    this.revocations.add(revocation.dev);
  }

  chain(id: string): UserChain | undefined {
    return this.users.get(id);
  }

  team(id: string): TeamChain | undefined {
    return this.teams.get(id);
  }

  user(id: string, gen?: number): Entry | undefined {
    return this.users.get(id)?.entry(gen) ?? this.teams.get(id)?.entry(gen);
  }

  identities(user: string): readonly KnownIdentity[] {
    return this.users.get(user)?.identities() ?? [];
  }

  /** Those that sign where a team lists the user by the identity entry with this hash. */
  heirs(user: string, who: Bytes): readonly KnownIdentity[] {
    return this.users.get(user)?.heirs(who) ?? [];
  }

  device(dev: string): CertificateText | undefined {
    return this.certificates.get(dev);
  }

  speaksFor(user: string, team: string, gen: number): boolean {
    return this.teams.get(team)?.speaks(user, gen) ?? false;
  }

  signers(user: string, team: string, gen: number): readonly KnownIdentity[] {
    const who = this.teams.get(team)?.who(user, gen);
    return who === undefined ? [] : this.heirs(user, who);
  }

  vouches(user: string, team: string, gen: number): boolean {
    return this.teams.get(team)?.vouches(user, gen) ?? false;
  }

  startedAgain(id: string, after: number, upto: number): boolean {
    return this.users.get(id)?.entries.some((entry) => entry.reset && entry.gen > after && entry.gen <= upto) ?? false;
  }

  revocation(dev: string): boolean {
    return this.revocations.has(dev);
  }
}
