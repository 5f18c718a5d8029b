// The page: a beginning and a temperature go in, a story comes out, a character at a time.
import { loadedBytes, showBytes } from "../shared/bytes.js";
import { describe, DEVICES } from "../shared/devices.js";
import { element, find } from "../shared/format.js";
import { showProfile } from "../shared/profile.js";
import { viewSource } from "../shared/source.js";
import { DeviceSwitch } from "../shared/switch.js";
import { open, profile, write } from "./model.js";
import { Paper } from "./paper.js";

const PACK = "story.pack/";
const LONGEST = 1500; // characters; a hot writer may not come to an end
const facts = await (await fetch("facts.json")).json();
const numberOf = new Map([...facts.vocabulary].map((character, number) => [character, number]));
const paper = new Paper(find("story"));
const [beginning, temperature] = [find("beginning"), find("temperature")];
let writing = null; // ends the story that is being written
let story = Promise.resolve(); // settles when it has ended
let written = { beginning: "", text: "", shares: [], temperature: 0, stopped: false };
let bytes = [];

const devices = new DeviceSwitch(document.querySelector(".runs"), {
  kinds: DEVICES,
  columns: { ready: "ready in", character: "per token", rate: "tokens/s" },
  async open(kind, onProgress, signal) {
    const session = await open(PACK, { ...DEVICES[kind].options, onProgress, signal });
    return { session, told: await describe(session), report: session.report, dispose: () => session.dispose() };
  },
  warm: async ({ session }) => void (await write(session, [], () => 1).next()),
  changed,
});

const showSteps = showProfile(
  document.querySelector(".profile"),
  () => devices.engine && profile(devices.engine.session),
);

async function changed(engine) {
  writing?.abort();
  bytes = [];
  find("write").disabled = !engine;
  if (!engine) return;
  start();
  showSteps();
  const rows = await loadedBytes(engine.report, PACK);
  if (engine === devices.engine) showBytes(find("bytes").tBodies[0], (bytes = rows));
}

/** Writes a story in place of the one that is there. */
function start() {
  writing?.abort();
  const { signal } = (writing = new AbortController());
  story = story.then(() => signal.aborted || tell(devices.engine, signal));
  return story;
}

async function tell(engine, signal) {
  const text = known(beginning.value);
  written = { beginning: text, text: "", shares: [], temperature: Number(temperature.value), stopped: false };
  paper.begin(text);
  find("write").textContent = "Stop";
  try {
    const numbers = [...text].map((character) => numberOf.get(character));
    for await (const { next, share } of write(timed(engine.session), numbers, () => Number(temperature.value))) {
      if (signal.aborted) break;
      written.text += facts.vocabulary[next];
      written.shares.push(share);
      paper.add(facts.vocabulary[next], share);
      if (written.text.length === LONGEST) break;
      if (!find("fast").checked) await new Promise(requestAnimationFrame);
    }
    written.stopped = signal.aborted;
    find("answer").textContent = signal.aborted ? "" : paper.text;
  } catch (error) {
    if (engine === devices.engine) devices.failed(error);
  } finally {
    if (signal === writing?.signal) writing = null;
    if (!writing) find("write").textContent = "Write";
  }
}

/** The session; that it also notes how long each character takes. */
function timed(session) {
  const run = async (feeds) => {
    const started = performance.now();
    const made = await session.run(feeds);
    if (feeds.characters.data.length === 1) {
      const each = devices.took("character", performance.now() - started);
      devices.show("rate", Math.round(1000 / each).toLocaleString("en"));
    }
    return made;
  };
  return { state: session.state, run };
}

/** A text without the characters that the writer has never seen; tells which those are. */
function known(text) {
  const strange = new Set([...text].filter((character) => !numberOf.has(character)));
  find("strange").textContent = strange.size ? `It has never seen ${[...strange].join(" ")}, and leaves that out.` : "";
  return [...text].filter((character) => !strange.has(character)).join("");
}

function showTemperature() {
  find("degrees").textContent = Number(temperature.value).toFixed(2);
}

find("controls").addEventListener("submit", (event) => {
  event.preventDefault();
  if (event.submitter === find("write") && writing) writing.abort();
  else if (devices.engine) start();
});
document.addEventListener("keydown", ({ key }) => key === "Escape" && writing?.abort());
temperature.addEventListener("input", showTemperature);
for (const text of facts.beginnings) {
  const button = element("button", { type: "button", text: text.trim() || "anything" });
  button.addEventListener("click", () => {
    beginning.value = text;
    if (devices.engine) start();
  });
  find("examples").append(button);
}
find("facts").textContent = facts.told;
beginning.value = facts.beginnings[0];
showTemperature();
viewSource(find("source"), () => "model.js");
// so small a model is quickest on one thread
const wanted = new URLSearchParams(location.search).get("on");
await devices.choose(Object.hasOwn(DEVICES, wanted ?? "") ? wanted : "wasm");

/** For the checks: waits until nothing is written, then tells what is shown. */
globalThis.demo = async () => {
  await story;
  const { kind, error } = devices;
  return { ...written, shown: paper.text, kind, error: error?.message ?? null, bytes };
};
document.documentElement.dataset.ready = "";
