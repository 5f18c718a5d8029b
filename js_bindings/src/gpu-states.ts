// A pack's states on the GPU: a buffer for each, read, written and reset between runs. Loaded for packs that keep some.

import { narrow, widen } from "./convert.ts";
import { RunError } from "./errors.ts";
import { guard, MAP_READ, USAGE } from "./gpu.ts";
import type { GpuTarget, State } from "./manifest.ts";
import { rowOf } from "./tensors.ts";

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
    const { dtype, shape } = this.#states[number]!;
    return shape.reduce((product, size) => product * size, rowOf(rowOf(dtype).gpu!).bytes);
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

  /** Sets states. */
  write(states: ReadonlyMap<number, Uint8Array<ArrayBuffer>>): Promise<void> {
    return guard(this.#device, "writing state", RunError, () => {
      for (const [number, bytes] of states) {
        const { dtype } = this.#states[number]!;
        this.#device.queue.writeBuffer(this.buffers[number]!, 0, widen(dtype, rowOf(dtype).gpu!, bytes));
      }
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
