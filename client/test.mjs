// Bundles the client's tests as the product is bundled and runs them with Node's own test runner.
//
//   node client/test.mjs            all tests
//   node client/test.mjs corpus     only files whose name holds "corpus"
//   node client/test.mjs --bundle FILE   writes the browser's vector runner and ends
//   node client/test.mjs --make-vectors  makes tests/vectors/rxe2ee-ts anew

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.dirname(here);

/** Settings that product and tests share. */
const settings = {
  bundle: true, format: "esm", target: "es2022", logLevel: "warning", absWorkingDir: here,
  inject: [path.join(here, "crypto/tests/byhand.ts")],
  define: Object.fromEntries(["BYHAND", "CRYPTO", "DRAWING", "RECOVERY"].map((name) => [`__WORKER_${name}_URL__`, '""'])),
};

function testFiles(folder) {
  const found = [];
  for (const name of readdirSync(folder)) {
    const file = path.join(folder, name);
    if (name === "node_modules") continue;
    if (statSync(file).isDirectory()) found.push(...testFiles(file));
    else if (name.endsWith(".test.ts") || name.endsWith(".test.tsx")) found.push(file);
  }
  return found.sort();
}

const words = process.argv.slice(2);
const environment = { ...process.env, NODE_NO_WARNINGS: "1", PORTAL_ROOT: root };
if (words[0] === "--bundle") {
  await build({ ...settings, entryPoints: [path.join(here, "crypto/tests/browser.ts")], outfile: path.resolve(words[1]) });
  process.exit(0);
}

const out = mkdtempSync(path.join(tmpdir(), "portal-client-tests-"));
let status = 1;
try {
  if (words[0] === "--make-vectors") {
    const maker = path.join(out, "make_vectors.mjs");
    await build({ ...settings, platform: "node", entryPoints: [path.join(here, "crypto/tests/make_vectors.ts")], outfile: maker });
    status = spawnSync(process.execPath, [maker], { stdio: "inherit", cwd: root, env: environment }).status ?? 1;
  } else {
    status = await runTests();
  }
} finally {
  if (existsSync(out)) rmSync(out, { recursive: true });
}
process.exit(status);

async function runTests() {
  const files = testFiles(here).filter((file) => words.every((word) => file.includes(word)));
  if (files.length === 0) throw new Error("no test has such a name");
  await build({
    ...settings, platform: "node", entryPoints: files, outdir: out, outbase: here, sourcemap: "inline",
    outExtension: { ".js": ".mjs" },
  });
  const built = files.map((file) => path.join(out, path.relative(here, file)).replace(/\.tsx?$/, ".mjs"));
  const run = spawnSync(process.execPath, ["--enable-source-maps", "--test", ...built], {
    stdio: "inherit", cwd: root, env: environment,
  });
  return run.status ?? 1;
}
