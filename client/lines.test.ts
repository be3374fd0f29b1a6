// No line is longer than 160 characters, here where nothing formats the code; only a regular expression cannot be broken.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";

const client = path.join(process.env["PORTAL_ROOT"] ?? ".", "client");
const LONGEST = 160;
const EXPRESSION = /\/.{100,}\/[a-z]*[ },;]*$/;

test("no line is longer than the others", () => {
  const sources = readdirSync(client, { recursive: true }).map(String)
    .filter((name) => /\.tsx?$/.test(name) && !name.split(path.sep).includes("node_modules"));
  assert.ok(sources.length > 100);
  const long = sources.flatMap((name) =>
    readFileSync(path.join(client, name), "utf8").split("\n").flatMap((line, at) =>
      line.length > LONGEST && !EXPRESSION.test(line) ? [`${name}:${at + 1}`] : []));
  assert.deepEqual(long, []);
});
