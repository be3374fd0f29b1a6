// Franking: what lets a reader report a message so that sender and text are proven without any epoch key
// (docs/protocol.md section 4).

import { verifyCertificate } from "./certificates.ts";
import { verify as verifyEd25519 } from "./ed25519.ts";
import { type Bytes, b64, hmac256, pae, sameBytes, unb64, utf8 } from "./encoding.ts";
import { Refused, attemptAsync, refused } from "./reasons.ts";
import { type MessageHeader, type MessageRecord, memberOf, readHeader, signedBytes } from "./records.ts";
import { type DirectoryView } from "./state.ts";

export const FRANKING_KEY_BYTES = 32;

/** The tag in a message's header: HMAC of the body's bytes under the franking key, bound to thread and device. */
export function frankingTag(key: Bytes, thread: string, dev: string, body: Bytes): Bytes {
  return hmac256(key, pae("frank", thread, dev, body));
}

/** What a reader hands over. */
export interface Report {
  readonly h: string;
  readonly cth: string;
  readonly sig: string;
  readonly body: string;
  readonly fk: string;
}

/** What a verified report proves. */
export interface ProvenMessage {
  readonly header: MessageHeader;
  readonly body: string;
}

/** Makes a report of a message that was read. */
export function makeReport(record: MessageRecord, body: string, frankingKey: Bytes): Report {
  return { h: b64(record.h), cth: b64(record.bodyHash), sig: b64(record.sig), body, fk: b64(frankingKey) };
}

/** What verifying a report needs to know of the directory. */
export type ReportDirectory = Pick<DirectoryView, "device" | "user" | "identities">;

/** Verifies a report: sender, device and text. */
export function verifyReport(
  report: Report | Map<string, unknown>, directory: ReportDirectory,
): Promise<ProvenMessage | Refused> {
  return attemptAsync(async () => {
    const member = (name: string): unknown => memberOf(report as never, name);
    const h = unb64(member("h"));
    const header = readHeader(h);
    if (header.t !== "msg") throw new Refused("type", "not a message");
    const bodyHash = unb64(member("cth"), 32);
    const sig = unb64(member("sig"), 64);
    const frankingKey = unb64(member("fk"), FRANKING_KEY_BYTES);
    const body = member("body");
    if (typeof body !== "string" || !body.isWellFormed()) throw new Refused("form", "no body");
    const shown = directory.device(header.dev);
    if (shown === undefined) throw new Refused("unknown device");
    if (directory.user(header.user) === undefined) throw new Refused("unknown user");
    const device = await verifyCertificate(shown, header, directory.identities(header.user));
    if (refused(device)) throw device;
    if (!(await verifyEd25519(device.ed, sig, signedBytes({ header, h, bodyHash })))) throw new Refused("signature");
    if (!sameBytes(frankingTag(frankingKey, header.thread, header.dev, utf8(body)), header.frank)) {
      throw new Refused("frank");
    }
    return { header, body };
  });
}
