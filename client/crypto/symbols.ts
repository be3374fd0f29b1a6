// The symbols of everything that is typed from paper (docs/protocol.md section 2).

/** Crockford's alphabet: no I, L, O, U. */
export const SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/** What a check symbol is taken from: a number modulo 37. */
export const CHECK_SYMBOLS = `${SYMBOLS}*~$=U`;

/** The symbols of something typed: capitals, no spaces or hyphens, look-alikes as what they stand for. */
export function bareCode(typed: string): string {
  return typed.toUpperCase().replace(/[\s-]+/g, "").replace(/O/g, "0").replace(/[IL]/g, "1");
}
