// The description of the folder, by the npm package `ro-crate` and its validator.

import { readFileSync, readdirSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { join, relative, sep } from "node:path";

const require = createRequire(import.meta.url);
// Nothing is fetched: whoever asks for the published context gets the copy that the package holds.
globalThis.fetch = async () => ({ ok: true, json: async () => context });
const context = require("ro-crate/lib/context.json");
const { Validator } = require("ro-crate/lib/validator.js");

async function problems(folder) {
  const validator = new Validator();
  validator.parseJSON(readFileSync(join(folder, "ro-crate-metadata.json"), "utf8"));
  if (validator.crate) {
    await validator.crate.resolveContext();
    await validator.validate();
    validator.checkFiles(files(folder));
  }
  return validator.results.filter((result) => result.status === "error");
}

// Every path of the folder, as the validator wants them.
function files(folder) {
  const paths = readdirSync(folder, { recursive: true }).map((name) => join(folder, name));
  return Object.fromEntries(
    paths.map((path) => [
      relative(folder, path).split(sep).join("/"),
      { exists: true, inCrate: false, isDir: statSync(path).isDirectory() },
    ]),
  );
}

for (const folder of process.argv.slice(2)) {
  const found = await problems(folder);
  const texts = found.map((each) => `${each.id}: ${each.message} ${each.entity ?? ""}`.trim());
  console.log(JSON.stringify({ folder, problem: texts.join("; ") || null }));
}
