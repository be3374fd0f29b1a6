// Padding that hides the true length (docs/protocol.md section 4): a few sizes per power of two, at most about 12 % more.

import { type Bytes } from "./encoding.ts";
import { Refused } from "./reasons.ts";

const SMALLEST = 256;

/** floor(log2 n) without the rounding of Math.log2. */
function log2Floor(value: number): number {
  let exponent = 0;
  for (let power = 2; power <= value; power *= 2) exponent += 1;
  return exponent;
}

/** The padded size for `size` bytes. */
export function bucket(size: number): number {
  if (size <= SMALLEST) return SMALLEST;
  const exponent = log2Floor(size);
  const step = 2 ** (exponent - (log2Floor(exponent) + 1));
  return Math.ceil(size / step) * step;
}

/** 4 bytes of length, the content, zeros up to the bucket. */
export function pad(content: Uint8Array): Bytes {
  const out = new Uint8Array(bucket(4 + content.length));
  new DataView(out.buffer).setUint32(0, content.length);
  out.set(content, 4);
  return out;
}

/** The content of a padded text. Throws `Refused("padding")` if the length, the zeros or the bucket are wrong. */
export function unpad(padded: Bytes, options: { readonly checked: boolean } = { checked: true }): Bytes {
  if (padded.length < 4) throw new Refused("padding", "no room for a length");
  const length = new DataView(padded.buffer, padded.byteOffset).getUint32(0);
  if (4 + length > padded.length) throw new Refused("padding", "longer than what is there");
  if (options.checked) {
    if (bucket(4 + length) !== padded.length) throw new Refused("padding", "another size than the bucket");
    let rest = 0;
    for (let index = 4 + length; index < padded.length; index += 1) rest |= padded[index]!;
    if (rest !== 0) throw new Refused("padding", "not zeros");
  }
  return padded.subarray(4, 4 + length);
}
