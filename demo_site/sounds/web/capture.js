// In the audio thread: gathers what passes in chunks, and posts them.

class Capture extends AudioWorkletProcessor {
  #size;
  #chunk;
  #filled = 0;

  constructor({ processorOptions: { size } }) {
    super();
    this.#size = size;
    this.#chunk = new Float32Array(size);
  }

  process([[samples]]) {
    for (let from = 0; from < (samples?.length ?? 0); ) {
      const part = samples.subarray(from, from + this.#size - this.#filled);
      this.#chunk.set(part, this.#filled);
      this.#filled += part.length;
      from += part.length;
      if (this.#filled === this.#size) {
        this.port.postMessage(this.#chunk, [this.#chunk.buffer]);
        this.#chunk = new Float32Array(this.#size);
        this.#filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("capture", Capture);
