// The page: what is drawn becomes an image, and each device says what it reads in it.
import { viewSource } from "../shared/source.js";
import { strokesOf } from "./examples.js";
import { kilobytes, Panel } from "./panel.js";
import { Paper } from "./paper.js";
import { SIDE, toImage } from "./preprocess.js";

const element = (id) => document.getElementById(id);
const fetched = async (file) => (await fetch(file)).json();

const [webgpu, wasm] = ["webgpu", "wasm"].map((device) => new Panel(element("panels"), device));
let image = null; // what is shown, null where nothing is
let shown = Promise.resolve();
let frame = 0;
const paper = new Paper(element("paper"), () => {
  // a pointer may move more often than a screen can show
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    show(paper.strokes.length ? toImage(paper.strokes) : null);
  });
});

function show(next) {
  image = next;
  drawSeen(image ?? new Float32Array(SIDE * SIDE));
  shown = readAll();
}

/** Wasm, then WebGPU: a GPU in software would take the processor, and with it the time that Wasm shows. */
async function readAll() {
  await wasm.show(image);
  await webgpu.show(image);
  const said = [webgpu, wasm].filter(({ shares }) => shares);
  const read = said.map(({ name, shares }) => `${name} reads ${shares.indexOf(Math.max(...shares))}`);
  element("answer").textContent = read.join(", ");
}

function drawSeen(ink) {
  const pixels = new ImageData(SIDE, SIDE);
  ink.forEach((share, i) => pixels.data.set([...Array(3).fill(Math.round(255 * share)), 255], 4 * i));
  element("seen").getContext("2d").putImageData(pixels, 0, 0);
}

element("clear").addEventListener("click", () => paper.clear());
viewSource(element("source"), () => "model.js");
drawSeen(new Float32Array(SIDE * SIDE));
const [styles, facts] = await Promise.all(["strokes.json", "facts.json"].map(fetched));
for (let digit = 0; digit < 10; digit++) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = String(digit);
  button.ariaLabel = button.title = `Draw a ${digit}`;
  button.addEventListener("click", () => paper.show(strokesOf(styles[digit][0])));
  element("examples").append(button);
}
element("facts").textContent =
  `The network has ${facts.parameters.toLocaleString("en")} parameters and reads ` +
  `${(100 * facts.accuracy).toFixed(1)}\u00a0% of the digits that it was not trained on. ` +
  `The JavaScript runtime is ${kilobytes(facts.compressed)} when compressed, and knows no model.`;
if (!paper.strokes.length) paper.show(strokesOf(styles[5][0]));

// one after the other, so that neither's loading time has the other's in it
for (const panel of [wasm, webgpu]) {
  await panel.open("digits.pack/", facts.runtime);
  await settled();
  await panel.show(image);
}

/** When everything that was drawn so far is shown. */
async function settled() {
  while (frame) await new Promise(requestAnimationFrame);
  await shown;
}

/** For the checks: runs an image, or waits for what was drawn; then tells what is shown. */
globalThis.demo = async (given) => {
  if (given) show(Float32Array.from(given));
  await settled();
  return {
    strokes: paper.strokes,
    image: image && Array.from(image),
    shares: { webgpu: webgpu.shares, wasm: wasm.shares },
    errors: { webgpu: webgpu.error?.message ?? null, wasm: wasm.error?.message ?? null },
  };
};
document.documentElement.dataset.ready = "";
