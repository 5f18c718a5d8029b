// Runs the steps of a WebGPU program that the GPU cannot compute: a Wasm module, and what crosses to its memory and back.
// Loaded for packs that have such steps alone.

import type { Loading } from "./backend.ts";
import { narrow, widen } from "./convert.ts";
import { fail } from "./decode.ts";
import { checkDim, type Dim, evaluate, type Symbols } from "./dims.ts";
import { messageOf, PackError } from "./errors.ts";
import type { Download } from "./fetch.ts";
import type { Command, Entry, GpuEntry, GpuPlace, Transfer, WasmTarget } from "./manifest.ts";
import { copyOut } from "./memory.ts";
import type { Buffers, Range } from "./plan.ts";
import { type DType, rowOf } from "./tensors.ts";
import { prepareWasm, type WasmBackend } from "./wasm.ts";

type Host = Extract<Command, { op: "host" }>;

/** Where a tensor lies on either side. */
interface Crossing extends Range {
  readonly address: number;
  readonly dtype: DType;
}

/** The host steps of a session. */
export class HostSteps {
  readonly #device: GPUDevice;
  readonly #backend: WasmBackend;

  constructor(device: GPUDevice, backend: WasmBackend) {
    this.#device = device;
    this.#backend = backend;
  }

  get memoryBytes(): number {
    return this.#backend.memoryBytes;
  }

  /** Brings the inputs that host steps read to their memory. */
  async feed(places: readonly GpuPlace[], inputs: readonly Uint8Array[], symbols: Symbols): Promise<void> {
    this.#backend.plan(await this.#backend.ready(), symbols);
    places.forEach(({ host }, i) => {
      if (host !== undefined) this.#backend.view(evaluate(host, symbols), inputs[i]!.length).set(inputs[i]!);
    });
  }

  /**
   * Runs the steps of a command, between what they take from the GPU and what they give back to it.
   *
   * @param copies does what is planned on the GPU before, and gives copies of these places.
   * @returns the symbols that the steps tell.
   */
  async run(
    { first, last, from, to, reads }: Host,
    symbols: Symbols,
    buffers: Buffers,
    copies: (places: readonly Range[]) => Promise<ArrayBuffer[]>,
  ): Promise<Symbols> {
    const value = (dim: Dim): number => evaluate(dim, symbols);
    const crossing = ([kind, index, offset, address, elements, dtype]: Transfer): Crossing => {
      const buffer = buffers[kind][index]!;
      const at = value(offset);
      const end = at + rowOf(rowOf(dtype).gpu!).bytes * value(elements);
      if (at < 0 || at % 4 || end < at || end > buffer.size)
        throw new PackError(`bytes ${at} to ${end} cannot be in ${kind} ${index} of ${buffer.size} bytes`);
      return { buffer, at, end, address: value(address), dtype };
    };
    const [taken, given] = [from.map(crossing), to.map(crossing)];
    const words = await copies(taken);
    const exports = await this.#backend.ready();
    this.#backend.plan(exports, symbols);
    taken.forEach(({ address, dtype }, i) => {
      const bytes = new Uint8Array(narrow(rowOf(dtype).gpu!, dtype, words[i]!));
      this.#backend.view(address, bytes.length).set(bytes);
    });
    await this.#backend.execute(exports, first, last);
    for (const { buffer, at, end, address, dtype } of given) {
      const { gpu, bytes: size } = rowOf(dtype);
      const bytes = this.#backend.view(address, ((end - at) / rowOf(gpu!).bytes) * size);
      const stored = widen(dtype, gpu!, bytes);
      this.#device.queue.writeBuffer(buffer, at, stored as Uint8Array<ArrayBuffer>);
    }
    return Object.fromEntries(
      reads.map(([name, place, dtype]) => {
        const { bytes, view } = rowOf(dtype);
        return [name, Number(view(this.#backend.view(value(place), bytes).slice().buffer as ArrayBuffer)[0])] as const;
      }),
    );
  }

  /** A copy of an output that lies in the memory of host steps alone. */
  output(address: number, shape: readonly number[], dtype: DType, spare: ArrayBuffer | undefined): ArrayBuffer {
    const bytes = shape.reduce((product, size) => product * size, rowOf(dtype).bytes);
    return copyOut(this.#backend.view(address, bytes), spare);
  }

  dispose(): Promise<void> {
    return this.#backend.dispose();
  }
}

/** What has to be downloaded for host steps, and what then starts them. Throws PackError for commands that cannot be. */
export function prepareHost(
  loading: Loading,
  target: WasmTarget,
  program: GpuEntry,
  device: GPUDevice,
): { files: Download[]; open: () => Promise<HostSteps> } {
  const names = target.entries[loading.index]!.symbols ?? [];
  check(loading.entry, program, target.entries[loading.index]!.steps.length);
  const entry = { ...loading.entry, symbols: names.map((name) => ({ name })) };
  const { files, open } = prepareWasm({ ...loading, entry, threads: 1 }, target);
  return { files, open: async () => new HostSteps(device, await open(0)) };
}

/** Checks the host's commands: steps, buffers, symbols and dtypes. */
function check(entry: Entry, program: GpuEntry, steps: number): void {
  const known = new Set(entry.symbols.map(({ name }) => name));
  for (const command of program.commands) {
    if ("symbol" in command) known.add(command.symbol);
    else if (command.op === "host") for (const [name] of command.reads) known.add(name);
  }
  program.commands.forEach((command, i) => {
    if (command.op !== "host") return;
    const at = `.commands[${i}]`;
    const { first, last, from, to, reads } = command;
    if (first > last || last > steps) fail(at, `there are no steps ${first} to ${last}`);
    const dims: Dim[] = reads.map(([, address]) => address);
    for (const [kind, index, offset, address, elements, dtype] of [...from, ...to]) {
      if (kind === "weights" || !rowOf(dtype).gpu) fail(at, `${dtype} of ${kind} is never transferred`);
      const used = kind === "arena" ? index < program.arenas.length : entry.state.some(({ state }) => state === index);
      if (!used) fail(at, `there is no ${kind} ${index}`);
      dims.push(offset, address, elements);
    }
    try {
      for (const dim of dims) checkDim(dim, [...known]);
    } catch (error) {
      fail(at, messageOf(error));
    }
  });
}
