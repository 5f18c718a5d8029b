// Streams tensors from checked chunks of shards to where a target wants them, in the dtype that it wants.

import { widen } from "./convert.ts";
import { PackError } from "./errors.ts";
import type { Download } from "./fetch.ts";
import type { Manifest, Placement } from "./manifest.ts";
import { type DType, rowOf } from "./tensors.ts";

/**
 * Writes bytes of a placed tensor, `offset` bytes after its begin; pieces are in order, of whole elements and, but for
 * the last, whole words.
 */
export type Write<P extends Placement> = (placement: P, offset: number, bytes: Uint8Array<ArrayBuffer>) => void;

/** One placed tensor as its pieces arrive. What a chunk's end cuts apart waits for its other half. */
class Stream<P extends Placement> {
  readonly begin: number;
  readonly end: number;
  readonly #placement: P;
  readonly #write: Write<P>;
  readonly #unit: number;
  readonly #dtype: DType;
  readonly #refuse: (value: bigint) => never;
  readonly #rest = new Uint8Array(8);
  #waiting = 0;
  #written = 0;

  constructor({ tensors, shards }: Manifest["weights"], placement: P, write: Write<P>) {
    const { name, dtype, shard, offset, bytes } = tensors[placement.tensor]!;
    this.begin = shards[shard]!.data + offset;
    this.end = this.begin + bytes;
    this.#placement = placement;
    this.#write = write;
    this.#unit = Math.max(4, rowOf(dtype).bytes);
    this.#dtype = dtype;
    this.#refuse = (value) => {
      throw new PackError(`weight ${name} holds ${value}, which ${placement.dtype} cannot hold`);
    };
  }

  accept(piece: Uint8Array<ArrayBuffer>, last: boolean): void {
    if (this.#waiting) {
      const missing = piece.subarray(0, this.#unit - this.#waiting);
      this.#rest.set(missing, this.#waiting);
      this.#waiting += missing.length;
      piece = piece.subarray(missing.length);
      if (this.#waiting < this.#unit && !last) return;
      this.#place(this.#rest.slice(0, this.#waiting));
    }
    this.#waiting = last ? 0 : piece.length % this.#unit;
    const whole = piece.length - this.#waiting;
    this.#rest.set(piece.subarray(whole));
    if (whole) this.#place(piece.subarray(0, whole));
  }

  /** Writes whole elements; only what is converted needs to be aligned. */
  #place(bytes: Uint8Array<ArrayBuffer>): void {
    const { dtype } = this.#placement;
    if (dtype !== this.#dtype) {
      const aligned = bytes.byteOffset % this.#unit ? bytes.slice() : bytes;
      bytes = widen(this.#dtype, dtype, aligned, this.#refuse);
    }
    this.#write(this.#placement, this.#written, bytes);
    this.#written += bytes.length;
  }
}

/** The downloads that bring placed tensors to their place; shards of which nothing is placed are left out. */
export function weightDownloads<P extends Placement>(
  weights: Manifest["weights"],
  placed: readonly P[],
  write: Write<P>,
): Download[] {
  return weights.shards.flatMap((stored, shard) => {
    const streams = placed
      .filter(({ tensor }) => weights.tensors[tensor]!.shard === shard)
      .map((placement) => new Stream(weights, placement, write))
      .sort((a, b) => a.begin - b.begin);
    let first = 0; // streams before this one have ended, unless a longer one began before them
    const accept = (bytes: Uint8Array<ArrayBuffer>, position: number): void => {
      const limit = position + bytes.length;
      while (first < streams.length && streams[first]!.end <= position) first++;
      for (let i = first; i < streams.length && streams[i]!.begin < limit; i++) {
        const stream = streams[i]!;
        const from = Math.max(stream.begin, position);
        const to = Math.min(stream.end, limit);
        if (from < to) stream.accept(bytes.subarray(from - position, to - position), to === stream.end);
      }
    };
    return streams.length ? [{ stored, accept }] : [];
  });
}
