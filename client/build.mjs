// Builds the browser client: one file per page, worker, style sheet and language, each named by its content.
//
//   node client/build.mjs [--out FOLDER] [--require-pages]
//
// Reads  pages/*.ts(x), worker/*.ts, styles/*.css, assets/**, ../portal/core/texts/<language>/*.json
// Writes portal/static/<name>-<hash>.<ext>, a .gz beside what compresses, and manifest.json:
//        {"thread.js": {"file", "integrity", "bytes", "gz"}, "worker-crypto.js": …, "portal.css": …, "texts-en.json": …}
//
// Constants a bundle may name (declare them where they are used):
//   __WORKER_<NAME>_URL__   string, for each worker/<name>.ts (in pages, and in workers whose names come later)
//   __TEXTS__               {[language]: {url, integrity}}
//
// Same inputs, same bytes. There is no code splitting, dynamic import or source map: Subresource Integrity then
// covers every script a page loads.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.dirname(here);
const URL_PREFIX = "/static/";
const PSEUDO_LANGUAGE = "qps";
// What a patient on a slow line waits for before the first thread can be shown; and what an older browser loads besides.
const FIRST_PAGE = ["portal.css", "thread.js", "worker-crypto.js"];
const OLDER_BROWSER = "worker-byhand.js";
const FIRST_PAGE_LIMIT = 120_000;

const words = process.argv.slice(2);
const outFolder = path.resolve(words.includes("--out") ? words[words.indexOf("--out") + 1] : path.join(root, "portal/static"));
// Beside the result, so that putting it in place is one rename.
const unfinished = path.join(path.dirname(outFolder), `.${path.basename(outFolder)}-${process.pid}`);
const manifest = {};

/** Keep `bytes` under a name made from its content and note it in the manifest as `name`. Returns its URL. */
function keep(name, bytes) {
  const extension = path.extname(name);
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 12);
  const file = `${name.slice(0, -extension.length).replaceAll("/", "-")}-${hash}${extension}`;
  writeFileSync(path.join(unfinished, file), bytes);
  const packed = gzipSync(bytes, { level: 9 });
  if ([".js", ".css", ".json", ".svg"].includes(extension)) writeFileSync(path.join(unfinished, `${file}.gz`), packed);
  const integrity = `sha384-${createHash("sha384").update(bytes).digest("base64")}`;
  manifest[name] = { file, integrity, bytes: bytes.length, gz: Math.min(packed.length, bytes.length) };
  return URL_PREFIX + file;
}

/** Files of client/`folder` whose names match, tests left out, in a fixed order. */
function sources(folder, pattern) {
  const full = path.join(here, folder);
  if (!existsSync(full)) return [];
  return readdirSync(full).filter((name) => pattern.test(name) && !name.includes(".test.") && !name.endsWith(".d.ts"))
    .sort().map((name) => path.join(full, name));
}

function everyFile(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).filter((name) => !name.startsWith(".")).sort().flatMap((name) => {
    const file = path.join(folder, name);
    return statSync(file).isDirectory() ? everyFile(file) : [file];
  });
}

/** One file out of one entry, and which files went into it. Raises when the bundle would load anything else at run time. */
async function bundle(entry, options) {
  const result = await build({
    entryPoints: [entry], bundle: true, minify: true, write: false, format: "esm", target: "es2022", charset: "utf8",
    legalComments: "eof", splitting: false, absWorkingDir: here, metafile: true, logLevel: "warning",
    jsx: "automatic", jsxImportSource: "preact", outdir: unfinished, ...options,
  });
  const name = path.relative(root, entry);
  if (result.warnings.length > 0) throw new Error(`${name}: warnings count as errors`);
  if (result.outputFiles.length !== 1) throw new Error(`${name}: expected one file, got ${result.outputFiles.length}`);
  for (const output of Object.values(result.metafile.outputs)) {
    const loads = output.imports.filter((one) => one.kind !== "url-token");
    if (loads.length > 0) throw new Error(`${name} would load ${loads.map((one) => one.path).join(", ")} by itself`);
  }
  const inputs = Object.keys(result.metafile.inputs).map((input) => path.resolve(here, input));
  return { bytes: Buffer.from(result.outputFiles[0].contents), inputs };
}

/** All areas of a language in one object; the same rules as portal/core/texts.py. */
function catalogue(folder) {
  const merged = {};
  for (const name of readdirSync(folder).filter((one) => one.endsWith(".json")).sort()) {
    for (const [key, sentence] of Object.entries(JSON.parse(readFileSync(path.join(folder, name), "utf8")))) {
      if (key in merged) throw new Error(`${name} says again what another area already says: ${key}`);
      merged[key] = sentence;
    }
  }
  return merged;
}

function pseudo(sentence) {
  if (typeof sentence === "string") return `⟦${sentence}⟧`;
  return Object.fromEntries(Object.entries(sentence).map(([form, text]) => [form, `⟦${text}⟧`]));
}

function keepTexts() {
  const folder = path.join(root, "portal/core/texts");
  const languages = Object.fromEntries(
    readdirSync(folder).filter((name) => statSync(path.join(folder, name)).isDirectory() && !name.startsWith("_")).sort()
      .map((language) => [language, catalogue(path.join(folder, language))]));
  languages[PSEUDO_LANGUAGE] = Object.fromEntries(Object.entries(languages.en).map(([key, one]) => [key, pseudo(one)]));
  const known = {};
  for (const [language, texts] of Object.entries(languages)) {
    const name = `texts-${language}.json`;
    const url = keep(name, Buffer.from(JSON.stringify(texts)));
    known[language] = { url, integrity: manifest[name].integrity };
  }
  return known;
}

/** Style sheets name pictures and fonts by their place (client/assets, or a package); the built ones have hashed names. */
function hashedAssets(urls) {
  return {
    name: "hashed-assets",
    setup(builder) {
      builder.onResolve({ filter: /.*/ }, (found) => {
        if (found.kind !== "url-token" || found.path.startsWith("data:")) return undefined;
        const file = path.resolve(found.resolveDir, found.path);
        const own = path.relative(path.join(here, "assets"), file);
        const name = own.startsWith("..") ? path.basename(file) : own;
        if (!existsSync(file)) return { errors: [{ text: `${found.path} does not exist` }] };
        urls[name] ??= keep(name, readFileSync(file));
        return { path: urls[name], external: true };
      });
    },
  };
}

async function buildAll() {
  const pages = sources("pages", /\.tsx?$/);
  if (pages.length === 0 && words.includes("--require-pages")) throw new Error("client/pages has no page");

  const assetUrls = {};
  for (const file of everyFile(path.join(here, "assets"))) {
    const name = path.relative(path.join(here, "assets"), file).split(path.sep).join("/");
    assetUrls[name] = keep(name, readFileSync(file));
  }
  const sheets = new Map();
  for (const file of sources("styles", /\.css$/)) {
    sheets.set(file, await bundle(file, { plugins: [hashedAssets(assetUrls)] }));
  }
  for (const [file, { bytes }] of sheets) {
    // A sheet that another one imports is a part of that one, not a file of its own.
    const part = [...sheets].some(([other, { inputs }]) => other !== file && inputs.includes(file));
    if (!part) keep(path.basename(file), bytes);
  }
  const define = { "process.env.NODE_ENV": '"production"', __TEXTS__: JSON.stringify(keepTexts()) };
  for (const file of sources("worker", /\.ts$/)) {
    const name = path.basename(file, ".ts");
    const url = keep(`worker-${name}.js`, (await bundle(file, { define })).bytes);
    define[`__WORKER_${name.replaceAll("-", "_").toUpperCase()}_URL__`] = JSON.stringify(url);
  }
  for (const file of pages) {
    keep(path.basename(file).replace(/\.tsx?$/, ".js"), (await bundle(file, { define })).bytes);
  }
}

function report() {
  const names = Object.keys(manifest).sort();
  for (const name of names) {
    const { bytes, gz } = manifest[name];
    console.log(`${name.padEnd(32)} ${String(bytes).padStart(9)} bytes ${String(gz).padStart(8)} gz`);
  }
  if (!FIRST_PAGE.every((name) => name in manifest)) return;
  const sum = FIRST_PAGE.reduce((total, name) => total + manifest[name].gz, 0);
  console.log(`first load of a thread: ${sum} bytes gz of at most ${FIRST_PAGE_LIMIT} (${FIRST_PAGE.join(", ")})`);
  console.log(`in a browser without X-Wing, ML-DSA or Ed25519: ${sum + manifest[OLDER_BROWSER].gz} bytes gz`);
  if (sum > FIRST_PAGE_LIMIT) throw new Error("the thread page has grown beyond what a first load may cost");
}

rmSync(unfinished, { recursive: true, force: true });
mkdirSync(unfinished, { recursive: true });
try {
  await buildAll();
  report();
  const sorted = Object.fromEntries(Object.keys(manifest).sort().map((name) => [name, manifest[name]]));
  writeFileSync(path.join(unfinished, "manifest.json"), `${JSON.stringify(sorted, null, 1)}\n`);
  rmSync(outFolder, { recursive: true, force: true });
  renameSync(unfinished, outFolder);
} catch (problem) {
  console.error(`The browser client was not built: ${problem.message}`);
  process.exitCode = 1;
} finally {
  rmSync(unfinished, { recursive: true, force: true });
}
