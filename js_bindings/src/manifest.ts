// What stands in pack.json, as types; ARCHITECTURE.md tells what each field means.

import type { Dim } from "./dims.ts";
import type { StoredFile } from "./fetch.ts";
import type { Constraint, DType, StoredSpec, StoredSymbol } from "./tensors.ts";

/** A tensor kept between runs: its largest shape, the axis along which it grows, the weight that it begins as. */
export interface State {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly axis?: number | undefined;
  readonly initial?: number | undefined;
}

/** A state as an entry uses it: where it grows, its size along that axis before and after a run. */
export interface Carried {
  readonly state: number;
  readonly length?: Dim | undefined;
  readonly next?: Dim | undefined;
}

/**
 * Inputs or outputs that are fed and given as one array: `length` of them from `first` on. Without a length it is an
 * optional that is absent: it is fed nothing, and given as null.
 */
export interface Listed {
  /** As in the model. */
  readonly name: string;
  /** Whether it is fed or given. */
  readonly of: "inputs" | "outputs";
  /** Where its first tensor is among the session's `inputs` or `outputs`; the others follow. */
  readonly first: number;
  /** How many there are. */
  readonly length?: number | undefined;
}

/** A named program over the pack's weights. */
export interface Entry {
  readonly name: string;
  readonly symbols: readonly StoredSymbol[];
  readonly inputs: readonly StoredSpec[];
  readonly outputs: readonly StoredSpec[];
  /** Symbols of the outputs' shapes that only a run tells, and the most that they can be. */
  readonly sizes: readonly { readonly name: string; readonly most: Dim }[];
  readonly constraints?: readonly Constraint[] | undefined;
  readonly state: readonly Carried[];
  readonly lists: readonly Listed[];
}

/** A safetensors file: `data` is where tensor bytes begin, `chunks` has the SHA-256 of each 4 MiB. */
export interface Shard extends StoredFile {
  readonly data: number;
}

/** A tensor in a shard; `offset` counts from the shard's data. */
export interface StoredTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly elements: number;
  readonly shard: number;
  readonly offset: number;
  readonly bytes: number;
}

/** Where a tensor goes on a target, and the dtype that it is converted to on the way. */
export interface Placement {
  readonly tensor: number;
  readonly dtype: DType;
}

/** A variant's file, and the names of the features that it needs. */
export interface Variant extends StoredFile {
  readonly requires: readonly string[];
}

/** An entry on Wasm: bytes of memory, steps, and the first step that overwrites what a state held. */
export interface WasmEntry {
  readonly bytes: Dim;
  readonly steps: readonly string[];
  /** What each thread beyond the first adds; none or 0 where no step is worth sharing. */
  readonly thread_bytes?: Dim | undefined;
  readonly commit?: number | undefined;
  /** What `dims` takes, in order, where that are not the entry's symbols: of host steps. */
  readonly symbols?: readonly string[] | undefined;
}

/** The Wasm target; `state` has the address of each state. */
export interface WasmTarget {
  readonly initial_pages: number;
  readonly weights: readonly (Placement & { readonly address: number })[];
  readonly entries: readonly WasmEntry[];
  readonly variants: readonly Variant[];
  readonly state: readonly number[];
}

/** A shader's place in the variant's file, how it binds its buffers, and how many uniform words it reads. */
export interface Shader {
  readonly name: string;
  readonly offset: number;
  readonly bytes: number;
  readonly bindings: readonly ("read" | "read_write")[];
  readonly words: number;
}

/** How the GPU stores an element: in a word of 32 bits, or in two, the lower first. */
export type StoredDType = "float32" | "float16" | "int8" | "uint8" | "int32" | "uint32" | "int64" | "uint64";

/** Where an input or output lies on the GPU, if it does, and how it is stored there; `host` is its address for host steps. */
export interface GpuPlace {
  readonly arena?: number | undefined;
  readonly offset?: Dim | undefined;
  readonly dtype?: StoredDType | undefined;
  readonly host?: Dim | undefined;
}

/** A bound range: kind, index of the buffer, offset, bytes. */
export type Binding = readonly ["arena" | "weights" | "state", number, Dim, Dim];

/** A place in a buffer: kind, index of the buffer, offset. */
export type Place = readonly ["arena" | "weights" | "state", number, Dim];

/** A tensor that crosses: kind and index of the buffer, offset, address in the host's memory, elements, dtype there. */
export type Transfer = readonly ["arena" | "weights" | "state", number, Dim, Dim, Dim, DType];

/** One command of a WebGPU program. */
export type Command =
  | {
      readonly op: "dispatch";
      readonly step: string;
      readonly shader: number;
      readonly bindings: readonly Binding[];
      readonly words: readonly Dim[];
      readonly workgroups: readonly [Dim, Dim, Dim];
    }
  | { readonly op: "copy"; readonly from: Place; readonly to: Place; readonly bytes: Dim }
  | { readonly op: "fill"; readonly to: Place; readonly bytes: Dim }
  | { readonly op: "set"; readonly symbol: string; readonly value: Dim }
  | { readonly op: "jump"; readonly to: number; readonly unless?: Dim | undefined }
  | { readonly op: "read"; readonly symbol: string; readonly from: Place; readonly dtype: Exclude<StoredDType, "float32" | "float16" | "int8" | "uint8"> }
  | {
      readonly op: "host";
      readonly first: number;
      readonly last: number;
      readonly from: readonly Transfer[];
      readonly to: readonly Transfer[];
      /** Symbols, and where in the host's memory their values lie. */
      readonly reads: readonly (readonly [string, Dim, DType])[];
    };

/** An entry's WebGPU program. */
export interface GpuEntry {
  readonly arenas: readonly Dim[];
  readonly inputs: readonly GpuPlace[];
  readonly outputs: readonly GpuPlace[];
  readonly commands: readonly Command[];
  /** With host steps: the first command that overwrites what a state held. */
  readonly commit?: number | undefined;
}

/** A variant of the WebGPU target. */
export interface GpuVariant extends Variant {
  readonly limits: Readonly<Record<string, number>>;
  /** Features that parts of its shaders hang on, with other parts where the device lacks them. */
  readonly uses: readonly string[];
  readonly shaders: readonly Shader[];
  readonly entries: readonly GpuEntry[];
}

/** A file with the shaders that are best on GPUs of these names. */
export interface Tuned extends StoredFile {
  readonly vendor: string;
  readonly architecture: string;
}

/** The WebGPU target; `buffers` are the bytes of each weight buffer, `state` those of each state's. */
export interface GpuTarget {
  readonly buffers: readonly number[];
  readonly weights: readonly (Placement & { readonly buffer: number; readonly offset: number })[];
  readonly variants: readonly GpuVariant[];
  readonly state: readonly number[];
  /** The module with the steps that run on the CPU. */
  readonly host?: WasmTarget | undefined;
  readonly tuned: readonly Tuned[];
}

/** A file that travels with the model, such as tokenizer.json; `name` is what its user calls it. */
export interface Asset extends StoredFile {
  readonly name: string;
}

/** What a reader needs of pack.json. */
export interface Manifest {
  /** The model that the pack was made from, by the hash of its file. */
  readonly model: { readonly sha256: string };
  readonly state: readonly State[];
  readonly entries: readonly Entry[];
  readonly weights: { readonly shards: readonly Shard[]; readonly tensors: readonly StoredTensor[] };
  readonly assets: readonly Asset[];
  readonly targets: { readonly wasm?: WasmTarget; readonly webgpu?: GpuTarget };
}
