// The page: what is drawn becomes an image, and each device says what it reads in it.
import { example } from "./examples.js";
import { kilobytes, Panel } from "./panel.js";
import { Paper } from "./paper.js";
import { SIDE, toImage } from "./preprocess.js";

const seen = document.getElementById("seen");
const panels = ["webgpu", "wasm"].map((device) => new Panel(document.getElementById("panels"), device));
let shown = Promise.resolve();
const paper = new Paper(document.getElementById("paper"), () => (shown = show()));

async function show() {
  const image = toImage(paper.strokes);
  drawSeen(image);
  const drawn = paper.strokes.length > 0;
  return Promise.all(panels.map((panel) => panel.show(drawn ? image : null)));
}

function drawSeen(image) {
  const pixels = new ImageData(SIDE, SIDE);
  image.forEach((ink, i) => pixels.data.set([0, 0, 0, 255].fill(Math.round(255 * ink), 0, 3), 4 * i));
  seen.getContext("2d").putImageData(pixels, 0, 0);
}

for (let digit = 0; digit < 10; digit++) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = String(digit);
  button.title = `Draw a ${digit}`;
  button.addEventListener("click", () => paper.set(example(digit)));
  document.getElementById("examples").append(button);
}
document.getElementById("clear").addEventListener("click", () => paper.set([]));

const facts = await (await fetch("facts.json")).json();
document.getElementById("facts").textContent =
  `The network knows ${(100 * facts.accuracy).toFixed(1)} % of the digits that it was not trained on. ` +
  `The runtime is ${kilobytes(facts.runtimeBytes)} of JavaScript, compressed; the weights are ${kilobytes(facts.weightsBytes)}.`;

// one after the other, so that neither's loading time has the other's in it
for (const panel of panels) await panel.open("digits.pack/");
paper.set(example(5));
await shown;

/** For the checks: what each device says of an image, of what is drawn, and what could not be loaded. */
globalThis.demo = {
  run: (image) => Promise.all(panels.map((panel) => panel.show(Float32Array.from(image)))),
  shown: () => shown,
  drawn: () => ({ strokes: paper.strokes, image: Array.from(toImage(paper.strokes)) }),
  errors: panels.map((panel) => panel.error?.message ?? null),
};
document.documentElement.dataset.ready = "";
