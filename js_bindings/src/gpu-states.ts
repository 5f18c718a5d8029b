// A pack's states on the GPU: a buffer for each, read, written and reset between runs. Loaded for packs that keep some.

import { narrow, widen } from "./convert.ts";
import { InputError, RunError } from "./errors.ts";
import { guard, MAP_READ, USAGE } from "./gpu.ts";
import type { GpuTarget, State } from "./manifest.ts";
import { rowOf } from "./tensors.ts";

const WORD = 4;

/** The states' buffers; the caller makes sure that no run overlaps with what is done here. */
export class GpuStates {
  readonly buffers: readonly GPUBuffer[];
  readonly #device: GPUDevice;
  readonly #states: readonly State[];
  readonly #target: GpuTarget;
  readonly #weights: readonly GPUBuffer[];

  /** Makes the buffers; `weights` are those that states may begin as. */
  constructor(device: GPUDevice, states: readonly State[], target: GpuTarget, weights: readonly GPUBuffer[]) {
    const usage = USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST;
    this.buffers = target.state.map((size, i) => device.createBuffer({ label: states[i]!.name, size, usage }));
    this.#device = device;
    this.#states = states;
    this.#target = target;
    this.#weights = weights;
  }

  /** Bytes of a state on the GPU. */
  #bytes(number: number): number {
    return this.#states[number]!.shape.reduce((product, size) => product * size, WORD);
  }

  /** A copy of a state in the API's dtype. */
  async read(number: number): Promise<Uint8Array<ArrayBuffer>> {
    const { name, dtype } = this.#states[number]!;
    const size = this.#bytes(number);
    if (!size) return new Uint8Array();
    const staging = this.#device.createBuffer({ label: name, size, usage: USAGE.MAP_READ | USAGE.COPY_DST });
    try {
      const [, copied] = guard(this.#device, `reading state ${name}`, RunError, () => {
        const encoder = this.#device.createCommandEncoder();
        encoder.copyBufferToBuffer(this.buffers[number]!, 0, staging, 0, size);
        this.#device.queue.submit([encoder.finish()]);
      });
      await Promise.all([copied, staging.mapAsync(MAP_READ)]);
      return new Uint8Array(narrow(rowOf(dtype).gpu!, dtype, staging.getMappedRange().slice(0)));
    } finally {
      staging.destroy();
    }
  }

  /** Sets states. Throws InputError, before any is set, for an integer past 32 bits. */
  write(states: ReadonlyMap<number, Uint8Array<ArrayBuffer>>): Promise<void> {
    const stored = [...states].map(([number, bytes]) => {
      const { name, dtype } = this.#states[number]!;
      const words = widen(dtype, rowOf(dtype).gpu!, bytes, (value) => {
        throw new InputError(
          `state ${JSON.stringify(name)}: expected ${dtype} that fits 32 bits on WebGPU, got ${value}`,
        );
      });
      return [number, words] as const;
    });
    return guard(this.#device, "writing state", RunError, () => {
      for (const [number, words] of stored) this.#device.queue.writeBuffer(this.buffers[number]!, 0, words);
    })[1];
  }

  /** Makes all states what they are at first. */
  reset(): Promise<void> {
    return guard(this.#device, "resetting state", RunError, () => {
      const encoder = this.#device.createCommandEncoder();
      this.buffers.forEach((buffer, number) => {
        const { initial } = this.#states[number]!;
        const weight = this.#target.weights.find(({ tensor }) => tensor === initial);
        if (!weight) encoder.clearBuffer(buffer);
        else encoder.copyBufferToBuffer(this.#weights[weight.buffer]!, weight.offset, buffer, 0, this.#bytes(number));
      });
      this.#device.queue.submit([encoder.finish()]);
    })[1];
  }

  destroy(): void {
    for (const buffer of this.buffers) buffer.destroy();
  }
}
