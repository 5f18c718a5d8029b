// A WebGPU program for one set of dims: every size, uniform word and bind group, ready to be submitted.

import { align, type Dim, evaluate, product, type Symbols, told } from "./dims.ts";
import { InputError, MemoryLimitError, PackError } from "./errors.ts";
import { USAGE } from "./gpu.ts";
import type { Binding, Command, Entry, GpuEntry, GpuPlace, Place } from "./manifest.ts";
import type { Pipelines } from "./pipelines.ts";
import { rowOf } from "./tensors.ts";
import type { Walk } from "./walk.ts";

/** A command with everything evaluated. */
export type Planned =
  | {
      readonly op: "dispatch";
      readonly pipeline: GPUComputePipeline;
      readonly group: GPUBindGroup;
      readonly workgroups: readonly [number, number, number];
    }
  | {
      readonly op: "copy";
      readonly from: GPUBuffer;
      readonly start: number;
      readonly to: GPUBuffer;
      readonly at: number;
      readonly bytes: number;
    }
  | { readonly op: "fill"; readonly to: GPUBuffer; readonly at: number; readonly bytes: number };

/** Where a plan ends before its program does, with what tells further symbols; the rest goes on from `next`. */
export type Pause = NonNullable<Walk["pause"]> & {
  /** The element that a read is of. */
  readonly element: Range | undefined;
  /** The values of all symbols so far. */
  readonly symbols: Symbols;
};

/** What a run with these dims submits and reads. */
export interface Plan {
  readonly uniforms: GPUBuffer | undefined;
  /** There when all pipelines are. Rejects with RunError for a shader that does not compile. */
  readonly commands: Promise<readonly Planned[]>;
  readonly pause: Pause | undefined;
  /** Commands of the program that the run has walked when this ends. */
  readonly walked: number;
  /** Offsets in the inputs' arenas; nothing for those of the host alone. */
  readonly inputs: readonly (number | undefined)[];
  /** None before a pause. Without a buffer it is the host's, at the address `offset`. */
  readonly outputs: readonly {
    readonly buffer: GPUBuffer | undefined;
    readonly offset: number;
    readonly bytes: number;
    readonly shape: readonly number[];
  }[];
}

/** The session's buffers by kind. */
export interface Buffers {
  readonly arena: readonly GPUBuffer[];
  readonly weights: readonly GPUBuffer[];
  readonly state: readonly GPUBuffer[];
}

/** Checked bytes of a buffer. */
export interface Range {
  readonly buffer: GPUBuffer;
  readonly at: number;
  readonly end: number;
}

/** Evaluates a walk. Throws MemoryLimitError for what the device does not allow, PackError for wrong ranges. */
export function makePlan(
  device: GPUDevice,
  entry: Entry,
  program: GpuEntry,
  pipelines: Pipelines,
  buffers: Buffers,
  given: Symbols,
  { commands, pause, symbols: last, walked }: Walk,
): Plan {
  const { maxComputeWorkgroupsPerDimension, maxStorageBufferBindingSize } = device.limits;
  const { minStorageBufferOffsetAlignment, minUniformBufferOffsetAlignment } = device.limits;
  const shapes = told(given);
  let symbols = given;
  const value = (dim: Dim): number => evaluate(dim, symbols);

  /** A buffer and a range in it, checked. */
  const range = ([kind, index, offset]: Place | Binding, bytes: number, alignment = 4): Range => {
    const buffer = buffers[kind][index]!;
    const at = value(offset);
    const end = at + bytes;
    if (at < 0 || bytes < 0 || at % alignment || bytes % 4 || end > buffer.size) {
      throw new PackError(`bytes ${at} to ${end} cannot be in ${kind} ${index} of ${buffer.size} bytes for ${shapes}`);
    }
    return { buffer, at, end };
  };

  // forms for other sizes, and what has nothing to do, take no words
  const steps = commands.filter(
    ({ command, symbols }) => command.op !== "dispatch" || command.workgroups.every((dim) => evaluate(dim, symbols)),
  );
  const pitch = (words: readonly Dim[]): number => align(words.length * 4, minUniformBufferOffsetAlignment);
  const size = steps.reduce((sum, { command }) => sum + (command.op === "dispatch" ? pitch(command.words) : 0), 0);
  const uniforms = size
    ? device.createBuffer({ label: `words for ${shapes}`, size, usage: USAGE.UNIFORM, mappedAtCreation: true })
    : undefined;
  const words = uniforms ? new Int32Array(uniforms.getMappedRange()) : new Int32Array();
  let next = 0; // where in the uniforms the words of the next dispatch begin

  const dispatch = (command: Extract<Command, { op: "dispatch" }>): Promise<Planned> => {
    const offset = next;
    next += pitch(command.words);
    const [x, y, z] = command.workgroups.map(value) as [number, number, number];
    const most = Math.max(x, y, z);
    if (most > maxComputeWorkgroupsPerDimension) {
      throw new MemoryLimitError(
        `${command.step} needs ${most} workgroups for ${shapes}, the GPU allows ${maxComputeWorkgroupsPerDimension}`,
      );
    }
    command.words.forEach((dim, i) => {
      const word = value(dim);
      if (word !== (word | 0))
        throw new MemoryLimitError(`${command.step} needs the size ${word} for ${shapes}, GPUs count to 2^31`);
      words[offset / 4 + i] = word;
    });
    const { made, layout, access } = pipelines(command.shader);
    const written: Range[] = [];
    const entries = command.bindings.map((binding, i) => {
      const bytes = value(binding[3]);
      const { buffer, at } = range(binding, bytes, minStorageBufferOffsetAlignment);
      if (access[i] === "read_write") {
        // what runs without a word on one implementation, another refuses
        if (written.some((other) => other.buffer === buffer && other.at < at + bytes && at < other.end)) {
          throw new PackError(`${command.step} writes through bindings that overlap for ${shapes}`);
        }
        written.push({ buffer, at, end: at + bytes });
      }
      if (bytes > maxStorageBufferBindingSize) {
        throw new MemoryLimitError(
          `${command.step} binds ${bytes} bytes for ${shapes}, the GPU allows ${maxStorageBufferBindingSize}`,
        );
      }
      return { binding: i, resource: { buffer, offset: at, size: bytes } };
    });
    const resource = { buffer: uniforms!, offset, size: align(command.words.length * 4, 16) };
    const group = device.createBindGroup({
      label: command.step, // by which profile.ts knows it
      layout,
      entries: [...entries, { binding: entries.length, resource }],
    });
    return made.then((pipeline) => ({ op: "dispatch", pipeline, group, workgroups: [x, y, z] }));
  };

  const planned = ({ command, symbols: present }: Walk["commands"][number]): (Planned | Promise<Planned>)[] => {
    symbols = present;
    if (command.op === "dispatch") return [dispatch(command)];
    const bytes = value(command.bytes);
    const { buffer: to, at } = range(command.to, bytes);
    if (!bytes) return [];
    if (command.op === "fill") return [{ op: "fill", to, at, bytes }];
    const { buffer: from, at: start } = range(command.from, bytes);
    return [{ op: "copy", from, start, to, at, bytes }];
  };

  try {
    const ready = Promise.all(steps.flatMap(planned));
    ready.catch(() => undefined); // a run waits for it, before it submits
    symbols = last;
    const element = pause?.command.op === "read" ? range(pause.command.from, rowOf(pause.command.dtype).bytes) : undefined;
    const stop = pause && { ...pause, element, symbols };
    /** Where an input or output lies, in whole words. */
    const lies = ({ arena, offset, dtype }: GpuPlace, shape: readonly number[]): Plan["outputs"][number] => {
      const bytes = product(shape) * rowOf(dtype!).bytes;
      const { buffer, at } = range(["arena", arena!, offset!], align(bytes, 4));
      return { buffer, offset: at, bytes, shape };
    };
    const inputs = program.inputs.map((place, i) =>
      place.arena === undefined ? undefined : lies(place, entry.inputs[i]!.shape.map(value)).offset,
    );
    const outputs = (pause ? [] : program.outputs).map((place, i) => {
      const shape = entry.outputs[i]!.shape.map(value);
      if (shape.some((size) => size < 0))
        throw new InputError(`output ${i} would have shape [${shape.join(", ")}] for ${shapes}`);
      if (place.arena === undefined) return { buffer: undefined, offset: value(place.host!), bytes: 0, shape };
      return lies(place, shape);
    });
    uniforms?.unmap();
    return { uniforms, commands: ready, pause: stop, walked, inputs, outputs };
  } catch (error) {
    uniforms?.destroy();
    throw error;
  }
}
