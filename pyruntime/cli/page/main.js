// The page: inputs go in, outputs come out, on the chosen device, and all that takes time or bytes is told.
import { load } from "./js/pyruntime.js";
import { fetchFeeds } from "./feeds.js";
import { loadedBytes, showBytes } from "./shared/bytes.js";
import { describe, DEVICES, preferred } from "./shared/devices.js";
import { element, find, milliseconds } from "./shared/format.js";
import { DeviceSwitch } from "./shared/switch.js";
import { snippet } from "./snippet.js";
import { flat, showTensors, summary } from "./summary.js";

const PACK = "model.pack/";
const RUNS = 10; // after the first, which warms up
const fetched = async (file) => (await fetch(file)).json();

const [told, { targets, state }] = await Promise.all(["job.json", `${PACK}pack.json`].map(fetched));
const controls = find("controls");
let prepared = Promise.resolve([]); // what is fed, for the sizes and the seed that the fields have
let running = null; // ends the run
let failure = null;
let outputs = [];
let bytes = [];

/** The devices that the pack was converted for. */
function kinds() {
  const shares = targets.wasm?.variants.some(({ requires }) => requires.includes("threads"));
  const alone = { ...DEVICES.threads, missing: async () => "no step of this pack is large enough to share" };
  const wasm = { wasm: DEVICES.wasm, threads: shares ? DEVICES.threads : alone };
  return { ...(targets.webgpu && { webgpu: DEVICES.webgpu }), ...(targets.wasm && wasm) };
}

const devices = new DeviceSwitch(document.querySelector(".runs"), {
  kinds: kinds(),
  columns: { ready: "load", first: "first run", run: `median of ${RUNS}` },
  async open(kind, onProgress, signal) {
    const session = await load(PACK, { ...DEVICES[kind].options, onProgress, signal });
    return { session, told: await describe(session), report: session.report, dispose: () => session.dispose() };
  },
  warm: async () => undefined, // the first run is the user's
  changed,
});

async function changed(engine) {
  running?.abort();
  bytes = [];
  find("run").disabled = !engine;
  showSource();
  if (!engine) return;
  for (const column of ["first", "run"]) devices.show(column, "–");
  const rows = await loadedBytes(engine.report, PACK);
  if (engine === devices.engine) showBytes(find("bytes").tBodies[0], (bytes = rows));
}

/** What the fields ask for; null while one of them holds no number that it takes. */
function asked() {
  if (!controls.checkValidity()) return null;
  const { seed, ...symbols } = Object.fromEntries([...controls.querySelectorAll("input")].map((field) => [field.name, field.valueAsNumber]));
  return { seed, symbols: Object.fromEntries(Object.entries(symbols).map(([name, size]) => [name.slice(1), size])) };
}

/** Has inputs made for what the fields ask, and shows them. */
function prepare() {
  const wanted = asked();
  if (!wanted) return;
  failed(null);
  const mine = (prepared = fetchFeeds(wanted));
  mine.then(
    (feeds) => {
      if (mine !== prepared) return;
      const read = new Set(feeds.filter(({ given }) => given).map(({ name }) => name));
      showTensors(find("inputs"), feeds.map(summary), ({ name }) => (read.has(name) ? "from a file" : ""));
      showSource();
    },
    (error) => mine === prepared && failed(error),
  );
}

async function run() {
  const { engine } = devices;
  const { signal } = (running = new AbortController());
  find("run").textContent = "Stop";
  find("note").textContent = "";
  failed(null);
  try {
    const feeds = await prepared;
    const fed = Object.fromEntries(feeds.map(({ name, data, shape }) => [name, { data, shape }]));
    const times = [];
    while (times.length <= RUNS) {
      if (engine.session.state.names.length) await engine.session.state.reset();
      signal.throwIfAborted();
      const started = performance.now();
      const made = await engine.session.run(fed, { signal });
      times.push(performance.now() - started);
      signal.throwIfAborted();
      if (times.length === 1) show(engine, flat(made).map(summary), times[0]);
      devices.bar(times.length / (RUNS + 1));
    }
    const [low, high] = times.slice(1).sort((a, b) => a - b).slice(RUNS / 2 - 1, RUNS / 2 + 1);
    devices.show("run", milliseconds((low + high) / 2));
  } catch (error) {
    if (!signal.aborted) failed(error);
  } finally {
    if (running?.signal === signal) {
      running = null;
      find("run").textContent = "Run";
    }
  }
}

/** Shows what a first run gave. What it took is the first time only where the device has just been loaded. */
function show(engine, made, took) {
  outputs = made;
  showTensors(find("outputs"), outputs);
  find("note").textContent = `from ${DEVICES[devices.kind].name}`;
  if (!engine.warm) devices.show("first", milliseconds(took));
  engine.warm = true;
}

function failed(error) {
  failure = error;
  find("error").textContent = error ? `${error.message}${error.code ? ` (${error.code})` : ""}` : "";
}

async function showSource() {
  const feeds = await prepared.catch(() => null);
  if (!feeds) return;
  const { options } = DEVICES[devices.kind] ?? DEVICES.wasm;
  find("source").querySelector("code").textContent = snippet(told.name, options, feeds, state?.length > 0);
}

async function copy() {
  const code = find("source").querySelector("code");
  const done = await navigator.clipboard.writeText(code.textContent).then(() => true, () => false);
  find("copy").textContent = done ? "Copied" : "The browser forbids it: select the text";
  if (!done) getSelection().selectAllChildren(code);
}

/** For the checks: what is shown. */
globalThis.demo = () => ({
  kind: devices.kind,
  ready: devices.engine !== null,
  running: running !== null,
  error: (devices.error ?? failure)?.message ?? null,
  outputs,
  bytes,
});

document.title = `${told.name} · pyruntime`;
find("name").textContent = told.name;
const field = (name, value) => Object.assign(element("input", { type: "number", min: 0, step: 1, required: "" }), { name, value });
for (const [name, size] of Object.entries(told.symbols)) {
  // an inner name of its own: a symbol may be called seed
  controls.elements.seed.parentElement.before(element("label", {}, element("span", { text: name }), field(`=${name}`, size)));
}
controls.elements.seed.value = told.seed;
controls.addEventListener("input", prepare);
controls.addEventListener("submit", (event) => {
  event.preventDefault();
  if (running) running.abort();
  else run();
});
find("copy").addEventListener("click", copy);
prepare();

const wanted = new URLSearchParams(location.search).get("on") ?? (await preferred());
const offered = Object.keys(kinds());
await devices.choose(offered.includes(wanted) ? wanted : offered.includes("wasm") ? "wasm" : offered[0]);
