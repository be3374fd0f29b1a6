// The directory of people and services.
import { type Bytes } from "./encoding.ts";

/** What a thread needs to know of an id in one generation. */
export interface Entry {
  readonly id: string;
  readonly role: "person" | "team" | "service";
  readonly gen: number;
  readonly kem: Bytes;
  readonly kid: Bytes;
}
