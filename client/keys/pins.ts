// What was last seen of each chain, kept as sealed objects: a server that shows less or something else is noticed on the next
// visit too (docs/protocol.md section 3).

import { type Pin } from "../crypto/directory.ts";
import { b64, fromUtf8, unb64, utf8 } from "../crypto/encoding.ts";
import { attempt, refused } from "../crypto/reasons.ts";
import { isOfTheLine } from "../live/api.ts";
import { type PinStore } from "./directory.ts";
import { type Keyring } from "./keyring.ts";
import { type Objects } from "./objects.ts";
import { type DirectoryItem, isTeamItem } from "./shapes.ts";

/** Pins in sealed objects: of the person, and, for patients seen by staff, of the team, so that colleagues share them. */
export class Pins implements PinStore {
  private readonly loaded = new Map<string, Map<string, Pin>>();

  constructor(private readonly objects: Objects, private readonly keyring: Keyring, private readonly staff: boolean) {}

  now(): ReadonlyMap<string, Pin> {
    return new Map([...this.loaded.values()].flatMap((pins) => [...pins]));
  }

  private ownerFor(item: DirectoryItem): string {
    const team = this.keyring.teams.toSorted().at(-1);
    return this.staff && team !== undefined && !isTeamItem(item) && item.role === "patient" ? team : this.keyring.account;
  }

  async of(items: readonly DirectoryItem[]): Promise<ReadonlyMap<string, Pin>> {
    const found = new Map<string, Pin>();
    for (const item of items) {
      const pin = (await this.all(this.ownerFor(item))).get(item.id);
      if (pin !== undefined) found.set(item.id, pin);
    }
    return found;
  }

  private async all(owner: string): Promise<Map<string, Pin>> {
    let pins = this.loaded.get(owner);
    if (pins === undefined) {
      pins = new Map();
      for (const { content } of (await this.objects.list(owner, "pins")).values()) for (const [id, pin] of readPins(content)) pins.set(id, pin);
      this.loaded.set(owner, pins);
    }
    return pins;
  }

  /** Moves pins forward, never back. What cannot be stored now is stored with the next look-up. */
  async move(items: readonly DirectoryItem[], seen: ReadonlyMap<string, Pin>): Promise<void> {
    const buckets = new Map<string, { owner: string; pins: Map<string, Pin> }>();
    for (const item of items) {
      const owner = this.ownerFor(item);
      const pin = seen.get(item.id)!;
      const before = (await this.all(owner)).get(item.id);
      if (before !== undefined && before.n >= pin.n) continue;
      const bucket = bucketOf(item.id);
      const place = buckets.get(`${owner} ${bucket}`) ?? { owner, pins: new Map<string, Pin>() };
      buckets.set(`${owner} ${bucket}`, place);
      place.pins.set(item.id, pin);
    }
    for (const [name, { owner, pins }] of buckets) {
      try {
        await this.objects.update(owner, "pins", name.split(" ")[1]!, (content) => {
          const there = content === undefined ? new Map<string, Pin>() : readPins(content);
          for (const [id, pin] of pins) if ((there.get(id)?.n ?? 0) < pin.n) there.set(id, pin);
          return writePins(there);
        });
        for (const [id, pin] of pins) this.loaded.get(owner)?.set(id, pin);
      } catch (error) {
        if (!isOfTheLine(error)) throw error;
      }
    }
  }

  async replace(item: DirectoryItem, pin: Pin): Promise<void> {
    const owner = this.ownerFor(item);
    await this.objects.update(owner, "pins", bucketOf(item.id), (content) =>
      writePins((content === undefined ? new Map<string, Pin>() : readPins(content)).set(item.id, pin)));
    (await this.all(owner)).set(item.id, pin);
  }
}

/** Pins are spread over objects by the first digit of the id, so that none grows too large. */
function bucketOf(id: string): string {
  return /^[0-9a-f]{32}$/.test(id) ? `p${id[0]!}` : "teams";
}

function readPins(content: Uint8Array): Map<string, Pin> {
  const pins = new Map<string, Pin>();
  const said: unknown = JSON.parse(fromUtf8(content));
  if (typeof said !== "object" || said === null) return pins;
  for (const [id, value] of Object.entries(said)) {
    const [n, hash] = Array.isArray(value) ? (value as unknown[]) : [];
    const bytes = attempt(() => unb64(hash, 32));
    if (typeof n === "number" && !refused(bytes)) pins.set(id, { n, hash: bytes });
  }
  return pins;
}

function writePins(pins: ReadonlyMap<string, Pin>): Uint8Array<ArrayBuffer> {
  return utf8(JSON.stringify(Object.fromEntries([...pins].map(([id, { n, hash }]) => [id, [n, b64(hash)]]))));
}
