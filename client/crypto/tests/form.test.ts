import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { type Bytes, b64, hkdf, pae, unb64, utf8 } from "../encoding.ts";
import { bucket, pad, unpad } from "../padding.ts";
import { Refused } from "../reasons.ts";
import { BODY_LIMITS, HEADER_LIMITS, type Json, readBytes, readText } from "../strictjson.ts";

const isForm = (error: unknown): boolean => error instanceof Refused && error.reason === "form";

function plain(value: Json): unknown {
  if (Array.isArray(value)) return value.map(plain);
  return value instanceof Map ? Object.fromEntries([...value].map(([name, member]) => [name, plain(member)])) : value;
}

describe("the strict JSON reader", () => {
  test("reads what JSON.parse reads", () => {
    for (const text of ['{"a":[1,2.5,-3e2,null,true,false,"\\u00e9\\n\\ud83d\\udc8a"],"b":{}}', " [ ] ", '"x"', "0", '{"":0}']) {
      assert.deepEqual(plain(readText(text, BODY_LIMITS)), JSON.parse(text));
    }
  });

  test("keeps names that objects inherit", () => {
    const read = readText('{"__proto__":1,"constructor":2}');
    assert.ok(read instanceof Map);
    assert.deepEqual([...read], [["__proto__", 1], ["constructor", 2]]);
  });

  for (const text of [
    "", "{", "[1,]", '{"a":1,}', "{a:1}", "'a'", "01", "1.", ".5", "+1", "1e", "NaN", "Infinity", "tru", "nul", '"\t"', '"\\x41"', '"\\u12g4"',
    '"\\ud800"', '"\\udc00\\ud800"', "1 2", '{"a":1,"a":2}', '{"a":1,"\\u0061":2}', "\ufeff{}", "//c\n1", '{"a" 1}', "[1 2]", '"open',
  ]) {
    test(`refuses ${JSON.stringify(text)}`, () => assert.throws(() => readText(text, BODY_LIMITS), isForm));
  }

  test("headers take whole numbers only", () => {
    for (const text of ["1.0", "1e0", "-0", "-1", "9007199254740992", "1E2"]) assert.throws(() => readText(text), isForm, text);
    assert.equal(readText("9007199254740991"), Number.MAX_SAFE_INTEGER);
  });

  test("depth ends somewhere, long before the stack does", () => {
    const deep = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
    readText(deep(HEADER_LIMITS.depth));
    assert.throws(() => readText(deep(HEADER_LIMITS.depth + 1)), isForm);
    assert.throws(() => readText(deep(1_000_000), BODY_LIMITS), isForm);
  });

  test("only UTF-8", () => {
    assert.throws(() => readBytes(Uint8Array.of(0x22, 0xff, 0x22)), isForm);
    assert.throws(() => readBytes(Uint8Array.of(0xef, 0xbb, 0xbf, 0x31)), isForm, "byte order mark");
    assert.throws(() => readBytes(Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22)), isForm, "an encoded surrogate");
  });
});

describe("base64url", () => {
  test("one text for each byte string", () => {
    for (let length = 0; length < 70; length += 1) {
      const bytes: Bytes = new Uint8Array(length).map((_, index) => index * 37 + length);
      assert.equal(b64(bytes), Buffer.from(bytes).toString("base64url"));
      assert.deepEqual(unb64(b64(bytes)), bytes);
    }
  });

  for (const text of ["A", "AAAAA", "AA=", "AA==", "AB", "AAB", "A A", "AA\n", "+_AA", "a/aa", "é123", "AA\u0100A"]) {
    test(`refuses ${JSON.stringify(text)}`, () => assert.throws(() => unb64(text), isForm));
  }

  test("asks for the length", () => assert.throws(() => unb64("AAAA", 4), isForm));
});

describe("padding", () => {
  test("buckets grow in small steps", () => {
    assert.deepEqual([0, 1, 256, 257, 288, 289, 1000, 4096, 4097, 1_000_000].map(bucket), [256, 256, 256, 272, 288, 304, 1024, 4096, 4352, 1_015_808]);
    for (let size = 257; size < 5_000_000; size = Math.ceil(size * 1.01)) {
      const padded = bucket(size);
      assert.ok(padded >= size && padded <= size * 1.13);
      assert.equal(bucket(padded), padded, "a bucket is its own bucket");
    }
  });

  test("comes off as it went on, and nothing else comes off", () => {
    for (const size of [0, 1, 252, 253, 1000, 70_000]) {
      const content = new Uint8Array(size).fill(9);
      assert.deepEqual(unpad(pad(content)), content);
    }
    const padded = pad(new Uint8Array(10));
    for (const wrong of [padded.slice(0, 255), new Uint8Array(257), padded.map((byte, index) => (index === 255 ? 1 : byte)), new Uint8Array(3)]) {
      assert.throws(() => unpad(wrong as Bytes), (error: unknown) => error instanceof Refused && error.reason === "padding");
    }
  });
});

test("PAE keeps its parts apart", () => {
  assert.notDeepEqual(pae("ab", "c"), pae("a", "bc"));
  assert.notDeepEqual(pae("a", ""), pae("a"));
  assert.deepEqual(pae("a", 12), pae("a", "12"));
  assert.equal(b64(pae("é")), "AAAAAAAAAAhyeGUyZWUvMQAAAAAAAAACw6k");
});

test("HKDF-SHA-256 is that of RFC 5869, appendix A.1 and A.3", () => {
  const hex = (text: string): Bytes => new Uint8Array(Buffer.from(text, "hex"));
  const first = hkdf(hex("0b".repeat(22)), hex("000102030405060708090a0b0c"), hex("f0f1f2f3f4f5f6f7f8f9"), 42);
  assert.equal(Buffer.from(first).toString("hex"), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  const third = hkdf(hex("0b".repeat(22)), utf8(""), utf8(""), 42);
  assert.equal(Buffer.from(third).toString("hex"), "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
});
