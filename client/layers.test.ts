// Imports go down only, here as in the Python package: by folder as docs/architecture.md lists them, and without circles.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";

const client = path.join(process.env["PORTAL_ROOT"] ?? ".", "client");

/** Folder → those it may import from. */
const BELOW: Readonly<Record<string, readonly string[]>> = {
  crypto: [],
  store: [],
  views: [],
  live: ["crypto"],
  keys: ["live", "store", "crypto"],
  frame: ["views", "keys", "live", "store", "crypto"],
  threads: ["frame", "views", "keys", "live", "store", "crypto"],
  pages: ["threads", "frame", "views", "keys", "live", "store", "crypto"],
  worker: ["threads", "keys", "live", "crypto"],
};
const IMPORT = /^(?:import|export)\b(?:[^;"]*\bfrom)? *"(\.[^"]+)";/gm;

function sources(folder: string): string[] {
  return readdirSync(path.join(client, folder), { recursive: true }).map((name) => path.join(folder, String(name)))
    .filter((name) => /\.tsx?$/.test(name) && !name.includes(".test.") && !name.split(path.sep).includes("tests")).sort();
}

function imports(file: string): string[] {
  const text = readFileSync(path.join(client, file), "utf8");
  return [...text.matchAll(IMPORT)].map((found) => path.join(path.dirname(file), found[1]!)).filter((name) => /\.tsx?$/.test(name));
}

const graph = new Map(Object.keys(BELOW).flatMap(sources).map((file) => [file, imports(file)]));
const folderOf = (file: string): string => file.split(path.sep)[0]!;

test("every folder with code has its place", () => {
  const folders = readdirSync(client, { withFileTypes: true })
    .filter((one) => one.isDirectory() && one.name !== "node_modules" && sources(one.name).length > 0).map((one) => one.name);
  assert.deepEqual(folders.sort(), Object.keys(BELOW).sort());
});

test("imports go down only", () => {
  assert.ok(graph.size > 50);
  const up = [...graph].flatMap(([file, wanted]) => wanted
    .filter((to) => folderOf(to) !== folderOf(file) && !BELOW[folderOf(file)]!.includes(folderOf(to))).map((to) => `${file} -> ${to}`));
  assert.deepEqual(up, []);
});

test("no file imports itself through others", () => {
  const done = new Set<string>();
  const walk = (file: string, way: readonly string[]): void => {
    const begun = way.indexOf(file);
    assert.equal(begun, -1, [...way.slice(begun), file].join(" -> "));
    if (done.has(file)) return;
    for (const to of graph.get(file) ?? []) walk(to, [...way, file]);
    done.add(file);
  };
  for (const file of graph.keys()) walk(file, []);
});
