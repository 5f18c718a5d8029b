// One device's card: loads the pack there, runs the newest image, and shows what it says and how long it took.
import { load } from "./js/pyruntime.js";

const NAMES = { webgpu: "WebGPU", wasm: "Wasm" };
const SHOWN_RUNS = 15; // the time shown is the median of so many

export class Panel {
  #root;
  #bars;
  #session;
  #times = [];
  #wanted = null;
  #running = null;

  /** @param {HTMLElement} parent @param {"webgpu" | "wasm"} device */
  constructor(parent, device) {
    this.device = device;
    this.#root = document.getElementById("panel").content.cloneNode(true).firstElementChild;
    this.#root.classList.add(device);
    this.#find("h2").textContent = NAMES[device];
    this.#bars = Array.from({ length: 10 }, (_, digit) => this.#bar(digit));
    parent.append(this.#root);
  }

  /** Loads the pack; where that fails the card says why, and the page goes on without it. */
  async open(url) {
    const started = performance.now();
    try {
      this.#say("loading");
      const onProgress = (loaded, total) => this.#say(`loading ${Math.round((100 * loaded) / Math.max(total, 1))} %`);
      this.#session = await load(url, { device: this.device, onProgress });
      const blank = new Float32Array(64);
      await this.#session.run({ image: { data: blank, shape: [1, 1, 8, 8] } }); // the first run is the slowest
      this.#find(".loaded").textContent = milliseconds(performance.now() - started);
      this.#find(".bytes").textContent = kilobytes(this.#session.report.bytesLoaded);
      this.#say(this.#describe());
    } catch (error) {
      this.#root.classList.add("failed");
      this.#say(error.message);
      this.error = error;
    }
    return this;
  }

  /** Shows the probabilities of this image; while a run is going on only the newest image waits. */
  show(image) {
    if (!this.#session) return Promise.resolve(null);
    this.#wanted = { image };
    this.#running ??= this.#work().finally(() => (this.#running = null));
    return this.#running;
  }

  async #work() {
    let shares = null;
    while (this.#wanted) {
      const { image } = this.#wanted;
      this.#wanted = null;
      shares = image ? await this.#run(image) : null;
      this.#draw(shares);
    }
    return shares;
  }

  async #run(image) {
    const started = performance.now();
    const { probabilities } = await this.#session.run({ image: { data: image, shape: [1, 1, 8, 8] } });
    this.#times = [...this.#times, performance.now() - started].slice(-SHOWN_RUNS);
    const middle = this.#times.toSorted((a, b) => a - b)[this.#times.length >> 1];
    this.#find(".time").textContent = milliseconds(middle);
    return Array.from(probabilities.data);
  }

  #draw(shares) {
    const best = shares ? shares.indexOf(Math.max(...shares)) : -1;
    this.#bars.forEach((bar, digit) => {
      const share = shares?.[digit] ?? 0;
      bar.style.setProperty("--share", share.toFixed(4));
      bar.lastElementChild.textContent = shares ? `${Math.round(100 * share)} %` : "";
      bar.classList.toggle("best", digit === best);
    });
  }

  #describe() {
    const { report } = this.#session;
    const kinds = report.variant.length ? ` · ${report.variant.join(", ")}` : "";
    return this.device === "webgpu" ? `${report.dispatches} dispatches${kinds}` : `one thread, in a Worker${kinds}`;
  }

  #bar(digit) {
    const bar = document.createElement("li");
    bar.append(text("b", digit), document.createElement("i"), text("span", ""));
    this.#find(".bars").append(bar);
    return bar;
  }

  #find(selector) {
    return this.#root.querySelector(selector);
  }

  #say(message) {
    this.#find(".status").textContent = message;
  }
}

function text(tag, content) {
  const element = document.createElement(tag);
  element.textContent = content;
  return element;
}

/** Three digits at most: 0.42 ms, 3.1 ms, 57 ms. */
export function milliseconds(value) {
  return `${value < 1 ? value.toFixed(2) : value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

/** Decimal kilobytes. */
export function kilobytes(bytes) {
  return `${(bytes / 1000).toFixed(1)} kB`;
}
