// Bodies as sources: streams of bytes fill rooms themselves, others are copied, and both fail and end alike.

import assert from "node:assert/strict";
import { test } from "node:test";

import { PackError } from "../src/errors.ts";
import { fromBody } from "../src/source.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const PARTS = [[1, 2, 3, 4, 5], [6], [7, 8]];
const failure = (why: string): Error => new PackError(`broke: ${why}`);

/** A body of these parts, which then ends, or breaks. */
function body(type: "bytes" | undefined, parts: readonly number[][], broken = false): ReadableStream<Bytes> {
  const waiting = [...parts];
  const pull = (controller: ReadableStreamController<Bytes>): void => {
    const next = waiting.shift();
    if (next) return controller.enqueue(new Uint8Array(next));
    if (broken) return controller.error(new Error("gone"));
    controller.close();
    (controller as ReadableByteStreamController).byobRequest?.respond(0);
  };
  return (type ? new ReadableStream({ type, pull }) : new ReadableStream({ pull })) as ReadableStream<Bytes>;
}

for (const type of ["bytes", undefined] as const) {
  const what = type ? "a stream of bytes" : "a stream of parts";

  test(`${what} fills rooms of any size`, async () => {
    for (const size of [1, 2, 3, 100]) {
      const source = fromBody(body(type, PARTS), failure);
      const got: number[] = [];
      for (;;) {
        const room = new Uint8Array(new ArrayBuffer(size + 4), 4, size);
        const part = await source.read(room);
        assert.ok(part.length <= size && part.byteOffset === 4);
        if (!part.length) break;
        got.push(...part);
      }
      assert.deepEqual(got, PARTS.flat());
      await source.close();
    }
  });

  test(`${what} that breaks, or is ended`, async () => {
    const broken = fromBody(body(type, [[1]], true), failure);
    assert.equal((await broken.read(new Uint8Array(4))).length, 1);
    await assert.rejects(broken.read(new Uint8Array(4)), { code: "pack-invalid", message: "broke: gone" });
    await broken.close();

    const abort = new AbortController();
    const aborted = fromBody(body(type, [], true), failure, abort.signal);
    abort.abort(new RangeError("enough"));
    await assert.rejects(aborted.read(new Uint8Array(4)), { name: "RangeError" });

    let cancelled = false;
    const cancel = (): void => void (cancelled = true);
    const left = (type ? new ReadableStream({ type, cancel }) : new ReadableStream({ cancel })) as ReadableStream<Bytes>;
    await fromBody(left, failure).close();
    assert.ok(cancelled);
  });
}
