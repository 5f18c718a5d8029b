// The card of devices: a switch that is also a table of how long each took.
import { element, milliseconds, showShare, size } from "./format.js";

const SHOWN_RUNS = 15; // a time is the median of so many

/** What runs the model on a device. @typedef {{
 *   told: string,
 *   report: import("./bytes.js").Report,
 *   dispose: () => void,
 * }} Engine `told` is a line about it. Pages add what they use. */

/** @typedef {(loaded?: number, total?: number, doing?: string) => void} Progress nothing where the share is unknown. */

export class DeviceSwitch {
  #card;
  #options;
  #rows = {};
  #times = {};
  #loading = new AbortController();
  /** The chosen kind. @type {string} */
  kind = "";
  /** What runs the model; null while it loads, or where it cannot. @type {Engine | null} */
  engine = null;
  /** Why the chosen kind cannot be used, if so. @type {Error | null} */
  error = null;

  /**
   * @param {HTMLElement} card has `#devices`, a table, `#status`, `#progress` and `#retry`, a button.
   * @param {{
   *   kinds: Record<string, import("./devices.js").Kind>,
   *   columns: Record<string, string>,
   *   open: (kind: string, progress: Progress, signal: AbortSignal) => Promise<Engine>,
   *   warm: (engine: Engine) => Promise<void>,
   *   changed: (engine: Engine | null) => void,
   *   loading?: (told: string, share?: number) => void,
   * }} options `columns` has what stands over each column of times, by its name; `ready` is filled in here. `warm`
   *   runs an engine once. `changed` hears when one is ready or gone, `loading` how far loading is.
   */
  constructor(card, options) {
    this.#card = card;
    this.#options = { loading: () => undefined, ...options };
    const heads = ["Device", ...Object.values(options.columns)].map((text) => element("th", { scope: "col", text }));
    this.#find("#devices").append(element("thead", {}, element("tr", {}, ...heads)), element("tbody"));
    for (const [kind, told] of Object.entries(options.kinds)) this.#add(kind, told);
    this.#find("#retry").addEventListener("click", () => {
      this.#rows[this.kind].querySelector("input").focus(); // the button goes
      this.choose(this.kind);
    });
  }

  /** Loads the model for this kind; the one before is let go. */
  async choose(kind) {
    this.#loading.abort();
    const { signal } = (this.#loading = new AbortController());
    this.engine?.dispose();
    Object.assign(this, { kind, engine: null, error: null });
    this.#rows[kind].querySelector("input").checked = true;
    this.#card.className = `card runs ${kind}`;
    this.#find("#retry").hidden = true;
    this.#options.changed(null);
    const started = performance.now();
    try {
      const engine = await this.#options.open(kind, (...told) => signal.aborted || this.#progress(...told), signal);
      if (!signal.aborted) await this.#warm(engine); // the first run is the slowest
      if (signal.aborted) return engine.dispose();
      this.engine = engine;
      this.show("ready", milliseconds(performance.now() - started));
      this.#say(engine.told);
      this.bar(1);
      this.#options.changed(engine);
    } catch (error) {
      if (!signal.aborted) this.failed(error);
    }
  }

  /** Notes how long something took on the chosen device; gives the median of the last times. */
  took(column, spent) {
    const key = `${this.kind} ${column}`;
    const times = (this.#times[key] = [...(this.#times[key] ?? []), spent].slice(-SHOWN_RUNS));
    const middle = times.toSorted((a, b) => a - b)[times.length >> 1];
    this.show(column, milliseconds(middle));
    return middle;
  }

  /** Writes into the chosen device's row. */
  show(column, text) {
    this.#rows[this.kind].querySelector(`.${column}`).textContent = text;
  }

  /** Shows why the chosen kind cannot go on, such as a GPU that was lost. */
  failed(error) {
    this.error = error;
    this.engine?.dispose();
    this.engine = null;
    this.bar(0);
    this.#card.classList.add("failed");
    this.#find("#retry").hidden = false;
    this.#say(`Not available: ${error.message}${error.code ? ` (${error.code})` : ""}`);
    this.#options.changed(null);
  }

  /** Fills the bar; without a share it only moves. */
  bar(share) {
    showShare(this.#find("#progress"), share);
  }

  async #warm(engine) {
    try {
      await this.#options.warm(engine);
    } catch (error) {
      engine.dispose();
      throw error;
    }
  }

  #add(kind, { name, about, missing }) {
    const input = element("input", { type: "radio", name: "device", value: kind });
    input.addEventListener("change", () => this.choose(kind));
    const what = element("span", { text: name }, element("small", { text: about }));
    const cells = Object.keys(this.#options.columns).map((of) => element("td", { class: of, text: "–" }));
    const head = element("th", { scope: "row" }, element("label", {}, input, what));
    this.#rows[kind] = element("tr", { class: kind }, head, ...cells);
    this.#find("#devices tbody").append(this.#rows[kind]);
    missing().then((reason) => {
      if (!reason) return;
      input.disabled = true;
      what.querySelector("small").textContent = reason;
    });
  }

  #progress(loaded, total, doing) {
    const told = total ? `Loading the model: ${size(loaded)} of ${size(total)}` : `${doing} …`;
    this.bar(total && loaded / total);
    this.#say(told);
    this.#options.loading(told, total && loaded / total);
  }

  #say(message) {
    this.#find("#status").textContent = message;
  }

  #find(selector) {
    return this.#card.querySelector(selector);
  }
}
