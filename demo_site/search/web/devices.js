// The card of devices: a switch that is also a table of how long each took, and all sentences again.
import { embedAll } from "./embed_all.js";
import { KINDS } from "./engines.js";
import { element, milliseconds, showShare, size } from "./format.js";

const SHOWN_RUNS = 15; // the time of a search is the median of so many

export class Devices {
  #card;
  #corpus;
  #listener;
  #rows = {};
  #times = {};
  #loading = new AbortController();
  #embedding = null;
  /** The chosen kind. @type {string} */
  kind = "";
  /** What runs the model; null while it loads, or where it cannot. @type {import("./engines.js").Engine | null} */
  engine = null;
  /** Why the chosen kind cannot be used, if so. @type {Error | null} */
  error = null;

  /**
   * @param {HTMLElement} card
   * @param {import("./corpus.js").Corpus} corpus
   * @param {{changed: (engine: object | null) => void, loading: (told: string, share?: number) => void}} listener hears
   *   when an engine is ready or gone, and how far loading is.
   */
  constructor(card, corpus, listener) {
    this.#card = card;
    this.#corpus = corpus;
    this.#listener = listener;
    for (const [kind, told] of Object.entries(KINDS)) this.#add(kind, told);
    this.#find("#again").addEventListener("click", () => this.embedAll());
  }

  /** Loads the model for this kind; the one before is let go. */
  async choose(kind) {
    this.#loading.abort();
    const { signal } = (this.#loading = new AbortController());
    this.#embedding?.abort();
    this.engine?.dispose();
    Object.assign(this, { kind, engine: null, error: null });
    this.#rows[kind].querySelector("input").checked = true;
    this.#card.className = `card runs ${kind}`;
    this.#showProgram(kind === "python");
    this.#find("#again").disabled = true;
    this.#say("#outcome", "");
    this.#listener.changed(null);
    const started = performance.now();
    try {
      const engine = await KINDS[kind].open((...told) => signal.aborted || this.#progress(...told), signal);
      if (signal.aborted) return engine.dispose();
      await engine.embed([this.#corpus.sentences[0].text]); // the first run is the slowest
      if (signal.aborted) return engine.dispose();
      this.engine = engine;
      this.#cell(kind, "ready", milliseconds(performance.now() - started));
      this.#say("#status", engine.told);
      this.#bar(1);
      this.#find("#again").disabled = false;
      this.#listener.changed(engine);
    } catch (error) {
      if (!signal.aborted) this.#fail(error);
    }
  }

  /** Notes how long a search took. */
  took(spent) {
    const times = (this.#times[this.kind] = [...(this.#times[this.kind] ?? []), spent].slice(-SHOWN_RUNS));
    this.#cell(this.kind, "search", milliseconds(times.toSorted((a, b) => a - b)[times.length >> 1]));
  }

  /** Shows why the chosen kind cannot go on, such as a GPU that was lost. */
  failed(error) {
    this.#fail(error);
  }

  /** Starts to turn all sentences into vectors again, or stops it. */
  async embedAll() {
    if (this.#embedding) return this.#embedding.abort();
    const button = this.#find("#again");
    const { kind, engine } = this;
    const { signal } = (this.#embedding = new AbortController());
    button.textContent = "Stop";
    try {
      const progress = (done, total) => {
        this.#bar(done / total);
        this.#say("#outcome", `${done} of ${total}`);
      };
      const { done, milliseconds: each, apart } = await embedAll(engine, this.#corpus, progress, signal);
      if (this.engine !== engine) return;
      if (done) {
        this.#cell(kind, "sentence", milliseconds(each));
        const told = `${done} sentences in ${milliseconds(each * done)}`;
        this.#say("#outcome", `${told}; at most ${apart.toExponential(0)} from the vectors that came with the page.`);
      }
      this.#bar(1);
    } catch (error) {
      if (this.engine === engine) this.#fail(error);
    } finally {
      this.#embedding = null;
      button.textContent = button.dataset.text;
    }
  }

  #add(kind, { name, about, missing }) {
    const input = element("input", { type: "radio", name: "device", value: kind });
    input.addEventListener("change", () => this.choose(kind));
    const what = element("span", { text: name }, element("small", { text: about }));
    const cells = ["ready", "search", "sentence"].map((of) => element("td", { class: of, text: "–" }));
    const head = element("th", { scope: "row" }, element("label", {}, input, what));
    this.#rows[kind] = element("tr", { class: kind }, head, ...cells);
    this.#find("#devices tbody").append(this.#rows[kind]);
    missing().then((reason) => {
      if (!reason) return;
      input.disabled = true;
      what.querySelector("small").textContent = reason;
    });
  }

  async #showProgram(wanted) {
    this.#find("#python").hidden = !wanted;
    const code = this.#find("#python code");
    if (wanted && !code.textContent) code.textContent = await (await import("./python.js")).program();
  }

  #progress(loaded, total, doing) {
    const told = total ? `Loading the model: ${size(loaded)} of ${size(total)}` : `${doing} …`;
    this.#bar(total && loaded / total);
    this.#say("#status", told);
    this.#listener.loading(told, total && loaded / total);
  }

  /** Fills the bar; without a share it only moves. */
  #bar(share) {
    showShare(this.#find("#progress"), share);
  }

  #fail(error) {
    this.error = error;
    this.engine?.dispose();
    this.engine = null;
    this.#bar(0);
    this.#card.classList.add("failed");
    this.#find("#again").disabled = true;
    this.#say("#status", `Not available: ${error.message}${error.code ? ` (${error.code})` : ""}`);
    this.#listener.changed(null);
  }

  #cell(kind, of, text) {
    this.#rows[kind].querySelector(`.${of}`).textContent = text;
  }

  #say(selector, message) {
    this.#find(selector).textContent = message;
  }

  #find(selector) {
    return this.#card.querySelector(selector);
  }
}
