// Where samples come from: the microphone, or a sound that is played; either passes through one worklet.

export class Audio {
  #options;
  #context = null;
  #stop = null;

  /** @param {{rate: number, chunk: number, samples: (chunk: Float32Array) => void, ended: () => void}} options */
  constructor(options) {
    this.#options = options;
  }

  /** Listens until `stop`. Throws where there is no microphone, or none is allowed. */
  async listen() {
    this.stop();
    const wanted = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    if (!navigator.mediaDevices) throw new Error("needs https or localhost");
    const stream = await navigator.mediaDevices.getUserMedia({ audio: wanted });
    const release = () => stream.getTracks().forEach((track) => track.stop());
    try {
      const context = await this.#started();
      this.#connect(context.createMediaStreamSource(stream), release);
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Plays samples, to be heard and to be listened to. */
  async play(samples) {
    this.stop();
    const context = await this.#started();
    const buffer = context.createBuffer(1, samples.length, this.#options.rate);
    buffer.copyToChannel(samples, 0);
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(context.destination);
    this.#connect(source, () => source.stop());
    source.addEventListener("ended", () => this.stop());
    source.start();
  }

  /** Ends whatever is heard. */
  stop() {
    const stop = this.#stop;
    this.#stop = null;
    stop?.();
  }

  async #started() {
    const { rate } = this.#options;
    if (!this.#context) {
      const context = new AudioContext({ sampleRate: rate }); // the browser resamples
      await context.audioWorklet.addModule(new URL("capture.js", import.meta.url));
      this.#context = context;
    }
    await this.#context.resume();
    return this.#context;
  }

  #connect(source, release) {
    const { chunk, samples, ended } = this.#options;
    const capture = new AudioWorkletNode(this.#context, "capture", {
      numberOfOutputs: 0,
      channelCount: 1,
      channelCountMode: "explicit",
      processorOptions: { size: chunk },
    });
    capture.port.onmessage = ({ data }) => this.#stop === stop && samples(data);
    const stop = (this.#stop = () => {
      source.disconnect();
      release();
      ended();
    });
    source.connect(capture);
  }
}
