// What a browser keeps for a person and nobody else ever asks for: the outbox, the last view of a record, picked files. Sealed
// objects under the person's own key, as those that the server keeps (docs/protocol.md section 8).

import { fromUtf8, utf8 } from "../crypto/encoding.ts";
import { type ObjectText, openObject, sealObject } from "../crypto/objects.ts";
import { refused } from "../crypto/reasons.ts";
import type { Ready } from "./unlock.ts";

/** Seals a value (plain JSON) under the person's newest key. Throws Error when there is none. */
export async function sealKept(ready: Ready, kind: string, id: string, value: unknown): Promise<ObjectText> {
  const { keyring } = ready;
  const gen = keyring.newest(keyring.account);
  const seed = gen === undefined ? undefined : keyring.seed(keyring.account, gen);
  if (gen === undefined || seed === undefined) throw new Error("no key of one's own");
  const facts = { owner: keyring.account, kind, id, rev: 1, gen, dev: keyring.device, ts: Date.now() };
  return sealObject(facts, seed, utf8(JSON.stringify(value)), keyring.signer);
}

/** The value again; undefined for what belongs to keys that are gone. */
export async function openKept<Value>(ready: Ready, kind: string, id: string, object: ObjectText): Promise<Value | undefined> {
  const { keyring, directory } = ready;
  const opened = await openObject(object, { owner: keyring.account, kind, id }, directory.known, (gen) => keyring.seed(keyring.account, gen));
  return refused(opened) ? undefined : JSON.parse(fromUtf8(opened.content)) as Value;
}
