// Pyodide in a page for tests, as in host.mjs.
import { loadPyodide } from "/pyodide/pyodide.mjs";

const pyodide = await loadPyodide();
const wheel = await (await fetch("/wheel/name.txt")).text();
await pyodide.loadPackage(new URL(`/wheel/${wheel}`, location.href).href, { messageCallback: () => {} });
pyodide.FS.writeFile("scenarios.py", await (await fetch("/scenarios.py")).text());

globalThis.python = (code, sync) => (sync ? pyodide.runPython(code) : pyodide.runPythonAsync(code));
