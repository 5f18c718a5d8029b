// All sentences again: how long they take on the chosen device, and that it agrees.
import { milliseconds } from "../shared/format.js";
import { embedAll } from "./embed_all.js";

export class Again {
  #button;
  #outcome;
  #devices;
  #corpus;
  #running = null;
  #text;

  /**
   * @param {HTMLButtonElement} button @param {HTMLElement} outcome
   * @param {import("../shared/switch.js").DeviceSwitch} devices
   * @param {import("./corpus.js").Corpus} corpus
   */
  constructor(button, outcome, devices, corpus) {
    this.#button = button;
    this.#outcome = outcome;
    this.#devices = devices;
    this.#corpus = corpus;
    this.#text = button.textContent = `Embed all ${corpus.sentences.length} sentences again, here`;
    button.addEventListener("click", () => (this.#running ? this.#running.abort() : this.#run()));
  }

  /** Another engine is ready; or, if it is null, the last one gone. */
  changed(engine) {
    if (!engine) this.#running?.abort();
    if (!engine) this.#outcome.textContent = "";
    this.#button.disabled = !engine;
  }

  async #run() {
    const { engine } = this.#devices;
    const { signal } = (this.#running = new AbortController());
    this.#button.textContent = "Stop";
    try {
      const progress = (done, total) => {
        this.#devices.bar(done / total);
        this.#outcome.textContent = `${done} of ${total}`;
      };
      const { done, milliseconds: each, apart } = await embedAll(engine, this.#corpus, progress, signal);
      if (this.#devices.engine !== engine) return;
      if (done) {
        this.#devices.show("sentence", milliseconds(each));
        const told = `${done} sentences in ${milliseconds(each * done)}`;
        this.#outcome.textContent = `${told}; at most ${apart.toExponential(0)} from the vectors that came with the page.`;
      }
      this.#devices.bar(1);
    } catch (error) {
      if (this.#devices.engine === engine) this.#devices.failed(error);
    } finally {
      this.#running = null;
      this.#button.textContent = this.#text;
    }
  }
}
