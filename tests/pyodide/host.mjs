// Pyodide in Node for tests: `node host.mjs PYODIDE_FOLDER WHEEL_URL SCENARIOS` answers lines of JSON.
//
// A request is {code}: Python whose last expression is a string, awaited; {sync: true} runs it without awaiting.
// The reply is {value} or {error}.
import { createInterface } from "node:readline";
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [folder, wheel, scenarios] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(`${folder}/pyodide.mjs`).href);
const pyodide = await loadPyodide({ stdout: (text) => console.error(text) });
await pyodide.loadPackage(wheel, { messageCallback: () => {}, checkIntegrity: false });
pyodide.FS.writeFile("scenarios.py", await readFile(scenarios, "utf8"));

const reply = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
reply({ value: "ready" });
for await (const line of createInterface({ input: process.stdin })) {
  const { code, sync } = JSON.parse(line);
  try {
    reply({ value: sync ? pyodide.runPython(code) : await pyodide.runPythonAsync(code) });
  } catch (error) {
    reply({ error: String(error.message) });
  }
}
