// The page: sounds from the microphone, or from a button, become a picture and names.
import { loadedBytes, showBytes } from "../shared/bytes.js";
import { describe, DEVICES } from "../shared/devices.js";
import { element, find } from "../shared/format.js";
import { showProfile } from "../shared/profile.js";
import { viewSource } from "../shared/source.js";
import { DeviceSwitch } from "../shared/switch.js";
import { Audio } from "./audio.js";
import { Ear } from "./ear.js";
import { forget, hear, open, profile } from "./model.js";
import { Picture } from "./picture.js";

const PACK = "sounds.pack/";
const FETCHED = [["Sounds that the buttons play", /\.i16$/]];
const { threads: _, ...KINDS } = DEVICES; // a chunk is too little work to share: the pack has no module for threads
const LAST = 12; // names that stay to be read
const facts = await (await fetch("facts.json")).json();
const { classes, chunk, rate, bands } = facts;
const colours = classes.map((_, number) => `oklch(0.66 0.16 ${Math.round((360 / (classes.length - 1)) * number)})`);
const rows = classes.map((name, number) => {
  const row = element("li", {}, element("b", { text: name }), element("i"), element("span"));
  if (number) row.style.setProperty("--dot", colours[number]);
  find("shares").append(row);
  return row;
});
const picture = new Picture(find("picture"), find("strip"), bands, colours);
let bytes = [];
let newest = null; // shares of the newest frame, to be shown with the next picture

const devices = new DeviceSwitch(document.querySelector(".runs"), {
  kinds: KINDS,
  columns: { ready: "ready in", run: `per ${Math.round((1000 * chunk) / rate)} ms` },
  async open(kind, onProgress, signal) {
    const session = await open(PACK, { ...KINDS[kind].options, onProgress, signal });
    return { session, told: await describe(session), report: session.report, dispose: () => session.dispose() };
  },
  async warm({ session }) {
    await hear(session, new Float32Array(chunk));
    await forget(session);
  },
  changed,
});
const showSteps = showProfile(
  document.querySelector(".profile"),
  () => devices.engine && profile(devices.engine.session, chunk),
);
const ear = new Ear(listen, show, facts);
const audio = new Audio({ rate, chunk, samples: (samples) => void ear.push(samples), ended });

async function changed(engine) {
  bytes = [];
  if (!engine) return;
  showSteps();
  const found = await loadedBytes(engine.report, PACK, FETCHED);
  if (engine === devices.engine) showBytes(find("bytes").tBodies[0], (bytes = found));
}

/** Hears a chunk on the device that is chosen, if it is ready. */
async function listen(samples) {
  const { engine } = devices;
  if (!engine) return null;
  try {
    const started = performance.now();
    const made = await hear(engine.session, samples);
    if (engine === devices.engine) devices.took("run", performance.now() - started);
    return made;
  } catch (error) {
    if (engine === devices.engine) devices.failed(error);
    return null;
  }
}

function show(columns, shares, sound) {
  picture.add(columns, shares.indexOf(Math.max(...shares)));
  if (!newest) requestAnimationFrame(showShares);
  newest = shares;
  find("missed").textContent = ear.missed ? "This device is too slow: some sound was left out." : "";
  if (sound === null) return;
  const name = element("li", { text: classes[sound] });
  name.style.setProperty("--dot", colours[sound]);
  find("sounds").prepend(name);
  if (find("sounds").children.length > LAST) find("sounds").lastElementChild.remove();
}

function showShares() {
  const best = newest.indexOf(Math.max(...newest));
  rows.forEach((row, number) => {
    row.style.setProperty("--share", newest[number].toFixed(3));
    row.lastElementChild.textContent = `${Math.round(100 * newest[number])} %`;
    row.classList.toggle("best", number === best);
  });
  newest = null;
}

/** Begins anew, with what comes next. */
async function anew() {
  ear.reset();
  find("sounds").replaceChildren();
  if (devices.engine) await forget(devices.engine.session);
}

/** The samples that a button plays. */
async function samplesOf(name) {
  const file = await fetch(`${name.replace(" ", "-")}.i16`);
  return Float32Array.from(new Int16Array(await file.arrayBuffer()), (sample) => sample / 32768);
}

/** Plays a button's sound; without a loudspeaker it is seen all the same. */
async function play(name, signal) {
  const audible = await audio.play(await samplesOf(name), signal);
  if (!audible) find("trouble").textContent = "There is no sound output here: you see what the pack hears, in silence.";
}

function ended() {
  find("microphone").setAttribute("aria-pressed", "false");
  for (const button of find("examples").children) button.removeAttribute("aria-pressed");
}

/** Starts what a visitor asked for; what cannot be is told. */
async function start(source, button) {
  const on = button.getAttribute("aria-pressed") === "true";
  const signal = audio.begin();
  if (on) return;
  button.setAttribute("aria-pressed", "true");
  find("trouble").textContent = "";
  try {
    await anew();
    await source(signal);
  } catch (error) {
    if (signal.aborted) return;
    audio.stop();
    find("trouble").textContent = `That cannot be: ${error.message}`;
  }
}

find("microphone").addEventListener("click", ({ target }) => start((signal) => audio.listen(signal), target));
for (const name of classes.slice(1)) {
  const button = element("button", { type: "button", text: name });
  button.addEventListener("click", () => start((signal) => play(name, signal), button));
  find("examples").append(button);
}
find("facts").textContent = facts.told;
viewSource(find("source"), () => "model.js");
// so small a model is quickest on one thread
const wanted = new URLSearchParams(location.search).get("on");
await devices.choose(Object.hasOwn(KINDS, wanted ?? "") ? wanted : "wasm");

/** For the checks: hears a button's sound at once, if one is named; then tells what is shown. */
globalThis.demo = async (name) => {
  const heard = { bands: [], shares: [] };
  if (name) {
    audio.stop();
    await anew();
    const samples = await samplesOf(name);
    const quick = new Ear(
      listen,
      (columns, shares, sound) => {
        heard.bands.push(...columns);
        heard.shares.push(...shares);
        show(columns, shares, sound);
      },
      facts,
    );
    for (let from = 0; from + chunk <= samples.length; from += chunk) await quick.push(samples.slice(from, from + chunk));
    heard.sounds = quick.sounds.map((sound) => classes[sound]);
  }
  const { kind, error } = devices;
  const sounds = ear.sounds.map((sound) => classes[sound]);
  return { sounds, ...heard, columns: picture.drawn, kind, error: error?.message ?? null, bytes };
};
document.documentElement.dataset.ready = "";
