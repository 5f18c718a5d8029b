// One device's card: loads the pack there, runs the newest image, and shows what it says and how long it took.
import { describe } from "../shared/devices.js";
import { milliseconds } from "../shared/format.js";
import { showProfile } from "../shared/profile.js";
import { open, profile, read } from "./model.js";

const NAMES = { webgpu: "WebGPU", wasm: "Wasm" };
const CODE = { webgpu: "shaders", wasm: "Wasm module" };
const SHOWN_RUNS = 15; // the time shown is the median of so many

export class Panel {
  #root;
  #bars;
  #session;
  #times = [];
  #asked; // the newest image
  #waiting = false;
  #running = null;
  /** What the device said last; null where there is nothing to say. @type {number[] | null} */
  shares = null;
  /** Why the device cannot be used, if so. @type {Error | null} */
  error = null;

  /** @param {HTMLElement} parent @param {"webgpu" | "wasm"} device */
  constructor(parent, device) {
    this.device = device;
    this.name = NAMES[device];
    this.#root = document.getElementById("panel").content.cloneNode(true).firstElementChild;
    this.#root.classList.add(device);
    this.#say("h2", this.name);
    this.#say(".kind", CODE[device]);
    this.#say(".status", "waiting");
    this.#bars = Array.from({ length: 10 }, (_, digit) => this.#bar(digit));
    showProfile(this.#root.querySelector(".profile"), () => this.#session && profile(this.#session));
    parent.append(this.#root);
  }

  /**
   * Loads the pack; where that fails the card says why, and the page goes on without it.
   *
   * @param {string} url of the pack.
   * @param {Record<string, number>} runtime bytes of the JavaScript that each device needs.
   */
  async open(url, runtime) {
    const started = performance.now();
    try {
      const onProgress = (loaded, total) =>
        this.#say(".status", `loading ${Math.round((100 * loaded) / Math.max(total, 1))} %`);
      const session = await open(url, { device: this.device, onProgress });
      await read(session, new Float32Array(64)); // the first run is the slowest
      this.#session = session;
      this.#say(".loaded", milliseconds(performance.now() - started));
      const { code, weights } = await bytesOf(url, this.device, session.report);
      this.#say(".code", kilobytes(code));
      this.#say(".weights", kilobytes(weights));
      this.#say(".runtime", kilobytes(runtime[this.device]));
      this.#say(".status", await describe(session));
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Runs this image, null for none, and shows the outcome; while a run is going on only the newest image waits. */
  async show(image) {
    if (image !== this.#asked) {
      this.#asked = image;
      this.#waiting = true;
    }
    this.#running ??= this.#work();
    await this.#running;
  }

  async #work() {
    await null; // not over before the promise is kept
    try {
      while (this.#waiting && this.#session) {
        this.#waiting = false;
        this.#draw(this.#asked ? await this.#run(this.#asked) : null);
      }
    } catch (error) {
      this.#fail(error); // such as a GPU that was lost
    } finally {
      this.#running = null;
    }
  }

  async #run(image) {
    const started = performance.now();
    const shares = await read(this.#session, image);
    this.#times = [...this.#times, performance.now() - started].slice(-SHOWN_RUNS);
    const middle = this.#times.toSorted((a, b) => a - b)[this.#times.length >> 1];
    this.#say(".time", milliseconds(middle));
    return shares;
  }

  #fail(error) {
    this.error = error;
    this.#session?.dispose();
    this.#session = undefined;
    this.#draw(null);
    this.#root.classList.add("failed");
    this.#say(".status", `Not available: ${error.message}${error.code ? ` (${error.code})` : ""}`);
  }

  #draw(shares) {
    this.shares = shares;
    const best = shares ? shares.indexOf(Math.max(...shares)) : -1;
    this.#bars.forEach((bar, digit) => {
      const share = shares?.[digit] ?? 0;
      bar.style.setProperty("--share", share.toFixed(4));
      bar.lastElementChild.textContent = shares ? `${Math.round(100 * share)} %` : "";
      bar.classList.toggle("best", digit === best);
    });
  }

  #bar(digit) {
    const bar = document.createElement("li");
    bar.append(text("b", digit), document.createElement("i"), text("span", ""));
    this.#root.querySelector(".bars").append(bar);
    return bar;
  }

  #say(selector, message) {
    this.#root.querySelector(selector).textContent = message;
  }
}

/** Bytes of the code that the device runs, in the variant that it took, and of the weights. */
async function bytesOf(url, device, { variant }) {
  const { targets, weights } = await (await fetch(`${url}pack.json`)).json();
  const taken = targets[device].variants.find(({ requires }) => requires.every((name) => variant.includes(name)));
  return { code: taken.bytes, weights: weights.shards.reduce((sum, { bytes }) => sum + bytes, 0) };
}

function text(tag, content) {
  const element = document.createElement(tag);
  element.textContent = content;
  return element;
}

/** Decimal kilobytes. */
export function kilobytes(bytes) {
  return `${(bytes / 1000).toFixed(1)} kB`;
}
