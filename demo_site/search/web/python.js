// The engine in Python: Pyodide, with pyruntime's wheel, runs search.py, which runs the pack.
import * as pyruntime from "../js/pyruntime.js";
import { toldOfWasm } from "../shared/devices.js";
import { PACK } from "./engines.js";
import { makeTokenizer } from "./tokens.js";

const PYODIDE = new URL("../pyodide/", import.meta.url).href;

/** The program that Python runs, as text. */
export const program = async () => (await fetch(new URL("search.py", import.meta.url))).text();

let booted; // Python starts once; the model can be let go and loaded again

/** @type {(progress: import("../shared/switch.js").Progress, signal: AbortSignal) => Promise<import("./engines.js").Engine>} */
export async function openPython(progress, signal) {
  progress(undefined, undefined, "Starting Python");
  booted ??= boot();
  const python = await booted.catch((error) => {
    booted = undefined;
    throw error;
  });
  signal.throwIfAborted();
  const engine = await openModel(python, progress);
  if (signal.aborted) engine.dispose();
  signal.throwIfAborted();
  return engine;
}

async function boot() {
  const [{ loadPyodide }, facts] = await Promise.all([import(`${PYODIDE}pyodide.mjs`), fetch("facts.json")]);
  const python = await loadPyodide({ indexURL: PYODIDE });
  const { wheel } = await facts.json();
  await python.loadPackage(PYODIDE + wheel, { messageCallback: () => undefined });
  return python;
}

async function openModel(python, progress) {
  let inner; // Python's session stands on this one, which knows how many bytes were loaded
  const load = async (...options) => (inner = await pyruntime.load(...options));
  python.registerJsModule("page", {
    runtime: { ...pyruntime, load },
    make_tokenizer: (vocabulary) => {
      const tokenize = makeTokenizer(vocabulary);
      return (texts) => tokenize(texts.toJs());
    },
    show_progress: (loaded, total) => progress(loaded, total),
  });
  const names = python.toPy({});
  await python.runPythonAsync(await program(), { globals: names, filename: "search.py" });
  const open = names.get("open_model");
  const made = await open(new URL(PACK, document.baseURI).href);
  const [session, embed] = made;
  for (const proxy of [made, open, names]) proxy.destroy();
  const version = python.runPython("import sys; '.'.join(map(str, sys.version_info[:3]))");
  return {
    told: `Python ${version} calls the page's tokenizer. ${toldOfWasm(inner.report)}`,
    report: inner.report,
    async embed(texts) {
      const vectors = await embed(python.toPy(texts));
      const bytes = vectors.getBuffer("u8");
      try {
        return new Float32Array(bytes.data.slice().buffer);
      } finally {
        bytes.release();
        vectors.destroy();
      }
    },
    dispose() {
      session.close();
      session.destroy();
      embed.destroy();
    },
  };
}
