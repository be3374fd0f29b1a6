// What this folder promises to those who build on it: no page, no storage, no foreign modes, a small bundle.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

const root = process.env["PORTAL_ROOT"]!;
const folder = path.join(root, "client/crypto");
const sources = readdirSync(folder).filter((name) => name.endsWith(".ts"));

/** A file without its comments. */
function source(name: string): string {
  return readFileSync(path.join(folder, name), "utf8").replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/.*$/gm, "$1");
}

test("no page, no storage, no network", () => {
  const forbidden = /\b(document|window|localStorage|sessionStorage|indexedDB|navigator|location|fetch|XMLHttpRequest)\b\s*[.(]/;
  for (const name of sources) assert.doesNotMatch(source(name), forbidden, name);
});

test("only base mode, never noble's own Ed25519 verify, never JSON.parse, no dynamic import", () => {
  for (const name of sources) {
    assert.doesNotMatch(source(name), /senderKey|ed25519\.verify|JSON\.parse|\bimport\(/, name);
  }
});

test("randomness comes from one place", () => {
  for (const name of sources.filter((other) => !["encoding.ts", "recovery.ts"].includes(other))) {
    assert.doesNotMatch(source(name), /getRandomValues|Math\.random/, name);
  }
});

/** Bytes of these modules as a page would load them. */
async function compressed(names: readonly string[]): Promise<number> {
  // The tests run from a folder of their own; the bundler is the client's.
  const { build } = createRequire(path.join(root, "client/package.json"))("esbuild") as typeof import("esbuild");
  const modules = names.map((name) => `export * as ${name.replace(/\W/g, "_")} from "./${name}";`);
  const built = await build({
    stdin: { contents: modules.join("\n"), resolveDir: folder, loader: "ts" },
    bundle: true, minify: true, write: false, format: "esm", target: "es2022",
  });
  return gzipSync(built.outputFiles[0]!.contents, { level: 9 }).length;
}

test("all that a thread needs is at most 30 kB compressed, and 28 kB more where the browser lacks the newer algorithms", async () => {
  // Argon2, what is locked with it, and the printed sheets are loaded by the pages that ask for them.
  const elsewhere = ["recovery.ts", "guard.ts", "sheets.ts", "byhand.ts"];
  const size = await compressed(sources.filter((name) => !elsewhere.includes(name)));
  assert.ok(size <= 30_000, `${size} bytes`);
  const byHand = await compressed(["byhand.ts"]);
  assert.ok(byHand <= 28_000, `${byHand} bytes`);
});

test("recovery with Argon2 is at most 18 kB more, for the pages that ask for it", async () => {
  const size = await compressed(["recovery.ts"]);
  assert.ok(size <= 18_000, `${size} bytes`);
});
