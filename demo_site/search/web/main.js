// The page: what is typed becomes a vector, and the sentences are ranked by how near theirs are.
import { loadedBytes, showBytes } from "../shared/bytes.js";
import { preferred } from "../shared/devices.js";
import { element, find, milliseconds, showShare } from "../shared/format.js";
import { showProfile } from "../shared/profile.js";
import { viewSource } from "../shared/source.js";
import { DeviceSwitch } from "../shared/switch.js";
import { Again } from "./again.js";
import { Corpus } from "./corpus.js";
import { KINDS, openEngine, PACK } from "./engines.js";
import { MeaningMap } from "./map.js";
import { Newest } from "./newest.js";
import { Results, SHOWN } from "./results.js";

const PAUSE = 50; // ms without a key before a search begins
const FETCHED = [
  ["Sentences and their vectors", /\/(sentences\.json|vectors\.f32)$/],
  ["Pyodide and the wheel", /\/(pyodide\/.*|[^/]*\.whl)$/],
];
const asked = new URLSearchParams(location.search);

const [corpus, facts] = await Promise.all([Corpus.fetch(), fetch("facts.json").then((answer) => answer.json())]);
const results = new Results(find("results"), corpus, search);
const map = new MeaningMap(find("map"), corpus, search);
const devices = new DeviceSwitch(document.querySelector(".runs"), {
  kinds: KINDS,
  columns: { ready: "ready in", search: "per search", sentence: "per sentence" },
  open: openEngine,
  warm: (engine) => engine.embed([corpus.sentences[0].text]),
  changed,
  loading,
});
const again = new Again(find("again"), find("outcome"), devices, corpus);
const showSource = viewSource(find("source"), () => (devices.kind === "python" ? "search.py" : "model.js"));
const showSteps = showProfile(document.querySelector(".profile"), () =>
  devices.engine?.profile?.(query.value || corpus.sentences[0].text),
);
const query = find("query");
let shown = { query: "", results: [] }; // what is to be seen
let pause = 0;
let bytes = []; // what the table of them shows

const newest = new Newest(async (text) => {
  const { engine } = devices;
  if (!text) return show(text, []);
  if (!engine) return;
  try {
    const started = performance.now();
    const vector = await engine.embed([text]);
    if (engine !== devices.engine) return; // changed meanwhile: the new one is asked again
    const spent = performance.now() - started;
    show(text, corpus.rank(vector, SHOWN));
    devices.took("search", spent);
    find("took").textContent = milliseconds(spent);
  } catch (error) {
    if (engine === devices.engine) devices.failed(error);
  }
});

/** Another device is ready, or the last one gone. */
async function changed(engine) {
  remember();
  ask();
  again.changed(engine);
  if (find("source").open) showSource();
  if (engine) showSteps();
  bytes = [];
  find("loading").hidden = true;
  if (!engine) return hint(devices.error ? "The model does not run here: try again, or choose another device." : "");
  hint("Type a few words, or choose an example.");
  const rows = await loadedBytes(engine.report, PACK, FETCHED);
  if (engine !== devices.engine) return;
  showBytes(find("bytes").tBodies[0], (bytes = rows));
}

/** The model is on its way. */
function loading(told, share) {
  hint(told);
  find("loading").hidden = false;
  showShare(find("loading"), share);
}

function hint(told) {
  find("hint").firstElementChild.textContent = told;
}

/** Searches for what stands in the box. */
function ask() {
  clearTimeout(pause);
  pause = 0;
  const text = query.value.trim();
  document.body.classList.toggle("stale", text !== shown.query);
  return newest.ask(text);
}

/** Puts a text into the box and searches for it. */
function search(text) {
  query.value = text;
  remember();
  return ask();
}

function show(text, found) {
  shown = { query: text, results: found };
  const without = results.show(text, found);
  map.show(found);
  document.body.classList.remove("stale");
  find("hint").hidden = found.length > 0;
  if (!found.length) find("took").textContent = "";
  find("words").textContent = sharing(without, found.length);
  find("answer").textContent = found.length ? `Closest: ${corpus.sentences[found[0].index].text}` : "";
  for (const button of find("examples").children) button.ariaPressed = String(button.textContent === text);
}

function sharing(without, all) {
  if (!all) return "";
  if (!without) return "All share a word with your search";
  return `${without === all ? "None of these shares a" : `${without} of ${all} share no`} word with your search`;
}

/** Keeps search and device in the address, so that it can be shared. */
function remember() {
  const kept = new URLSearchParams({ ...(query.value && { q: query.value }), on: devices.kind });
  history.replaceState(null, "", `?${kept}`);
}

query.addEventListener("input", () => {
  clearTimeout(pause);
  pause = setTimeout(() => {
    remember();
    ask();
  }, PAUSE);
});
query.addEventListener("keydown", (event) => {
  if (event.key === "Escape") search("");
  if (event.key === "ArrowDown") find("results").querySelector("button")?.focus();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target === query || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  query.select();
});
find("results").addEventListener("keydown", (event) => {
  const row = event.target.closest("li");
  const next = { ArrowDown: row?.nextElementSibling, ArrowUp: row?.previousElementSibling ?? query }[event.key];
  if (!next) return;
  event.preventDefault();
  (next.querySelector?.("button") ?? next).focus();
});

for (const text of facts.examples) {
  const button = element("button", { type: "button", text });
  button.addEventListener("click", () => search(text));
  find("examples").append(button);
}
find("count").textContent = corpus.sentences.length;
find("facts").textContent = facts.told;
query.value = asked.get("q") ?? facts.examples[0];

const wanted = asked.get("on");
await devices.choose(Object.hasOwn(KINDS, wanted ?? "") ? wanted : await preferred());

/** For the checks: waits for whatever was asked for, then tells what is shown. */
globalThis.demo = async () => {
  while (pause) await new Promise((resolve) => setTimeout(resolve, PAUSE));
  await newest.settled();
  const { kind, error, engine } = devices;
  return { ...shown, kind, error: error?.message ?? null, bytes, report: engine?.report ?? null };
};
document.documentElement.dataset.ready = "";
