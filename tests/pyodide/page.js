// Pyodide for tests, as in host.mjs, in a page or in the Worker that /worker.html starts.
import { loadPyodide } from "/pyodide/pyodide.mjs";

const pyodide = await loadPyodide();
const wheel = await (await fetch("/wheel/name.txt")).text();
await pyodide.loadPackage(new URL(`/wheel/${wheel}`, location.href).href, { messageCallback: () => {} });
pyodide.FS.writeFile("scenarios.py", await (await fetch("/scenarios.py")).text());

const python = (code, sync) => (sync ? pyodide.runPython(code) : pyodide.runPythonAsync(code));

if (typeof document === "undefined") {
  globalThis.onmessage = async ({ data: [code, sync] }) => {
    try {
      postMessage({ value: await python(code, sync) });
    } catch (error) {
      postMessage({ error: error.message });
    }
  };
  postMessage("ready");
} else {
  // for pages whose policy keeps Python from importing it
  if (location.pathname === "/strict.html")
    pyodide.registerJsModule("javascript_runtime", await import("/js/pyruntime.js"));
  globalThis.python = python;
}
