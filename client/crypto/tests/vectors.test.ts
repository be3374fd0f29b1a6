import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";

import { runVectorFile } from "./vectors.ts";

const folder = path.join(process.env["PORTAL_ROOT"]!, "tests/vectors");

for (const made of ["rxe2ee", "rxe2ee-ts"]) {
  const files = existsSync(path.join(folder, made)) ? readdirSync(path.join(folder, made)) : [];
  for (const file of files.filter((name) => name.endsWith(".json")).sort()) {
    describe(`${made}/${file}`, () => {
      for (const { name, run } of runVectorFile(file, readFileSync(path.join(folder, made, file), "utf8"))) {
        test(name, async () => assert.equal(await run(), undefined));
      }
    });
  }
}
