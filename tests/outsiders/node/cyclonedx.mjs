// The bill of materials, by the strict validator of CycloneDX's own npm library.

import { readFileSync } from "node:fs";
import { join } from "node:path";

import { Spec, Validation } from "@cyclonedx/cyclonedx-library";

const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6);
for (const folder of process.argv.slice(2)) {
  const found = await validator.validate(readFileSync(join(folder, "bom/cyclonedx.json"), "utf8"));
  const texts = (found ?? []).map((each) => `${each.instancePath} ${each.message}`);
  console.log(JSON.stringify({ folder, problem: texts.join("; ") || null }));
}
