// Where samples come from: the microphone, or a sound that is played; either passes through one worklet.

// some browsers never start audio, and never say so, where there is no loudspeaker
const PATIENCE = 2000; // milliseconds in which it starts elsewhere, wireless headphones included
const IMPATIENCE = 100; // once it did not

export class Audio {
  #options;
  #contexts = new Map(); // by whether they have an output
  #late = false;
  #turn = new AbortController();

  /** @param {{rate: number, chunk: number, samples: (chunk: Float32Array) => void, ended: () => void}} options */
  constructor(options) {
    this.#options = options;
  }

  /** Ends whatever is heard, for something else; the signal says when that in turn is over. */
  begin() {
    this.stop();
    this.#turn = new AbortController();
    return this.#turn.signal;
  }

  /** Ends whatever is heard. */
  stop() {
    this.#turn.abort();
    this.#options.ended();
  }

  /** Listens until `signal`. Throws where there is no microphone, or none is allowed. */
  async listen(signal) {
    const wanted = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    if (!navigator.mediaDevices) throw new Error("needs https or localhost");
    const stream = await navigator.mediaDevices.getUserMedia({ audio: wanted });
    const release = () => stream.getTracks().forEach((track) => track.stop());
    try {
      const context = (await this.#started(true)) ?? (await this.#started(false));
      if (!context) throw new Error("this browser starts no audio without a sound output");
      this.#connect(context, context.createMediaStreamSource(stream), release, signal);
    } catch (error) {
      release();
      throw error;
    }
  }

  /**
   * Plays samples, to be heard and to be listened to. Where nothing can be heard they pass in silence, as fast.
   * @returns {Promise<boolean>} whether they can be heard
   */
  async play(samples, signal) {
    const context = await this.#started(true);
    if (!context) {
      this.#pass(samples, signal);
      return false;
    }
    const buffer = context.createBuffer(1, samples.length, this.#options.rate);
    buffer.copyToChannel(samples, 0);
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(context.destination);
    source.addEventListener("ended", () => signal.aborted || this.stop());
    source.start();
    this.#connect(context, source, () => source.stop(), signal);
    return true;
  }

  /** A context that runs; null where it does not start, as without an output. */
  async #started(output) {
    if (!this.#contexts.has(output)) {
      const sink = output ? {} : { sinkId: { type: "none" } };
      const context = new AudioContext({ sampleRate: this.#options.rate, ...sink }); // the browser resamples
      await context.audioWorklet.addModule(new URL("capture.js", import.meta.url));
      this.#contexts.set(output, context);
    }
    const context = this.#contexts.get(output);
    const late = new Promise((settle) => setTimeout(settle, this.#late ? IMPATIENCE : PATIENCE));
    await Promise.race([context.resume().catch(() => {}), late]);
    const runs = context.state === "running";
    if (output) this.#late = !runs;
    return runs ? context : null;
  }

  /** Lets samples pass by the clock alone. */
  #pass(samples, signal) {
    const { rate, chunk } = this.#options;
    const started = performance.now();
    let at = 0;
    const timer = setInterval(
      () => {
        if (signal.aborted) return clearInterval(timer);
        const due = Math.min((rate * (performance.now() - started)) / 1000, samples.length);
        for (; at + chunk <= due; at += chunk) this.#options.samples(samples.slice(at, at + chunk));
        if (due === samples.length) this.stop();
      },
      (1000 * chunk) / rate,
    );
  }

  #connect(context, source, release, signal) {
    const end = () => {
      source.disconnect();
      release();
    };
    if (signal.aborted) return end();
    const { chunk, samples } = this.#options;
    const capture = new AudioWorkletNode(context, "capture", {
      numberOfOutputs: 0,
      channelCount: 1,
      channelCountMode: "explicit",
      processorOptions: { size: chunk },
    });
    capture.port.onmessage = ({ data }) => signal.aborted || samples(data);
    signal.addEventListener("abort", end, { once: true });
    source.connect(capture);
  }
}
