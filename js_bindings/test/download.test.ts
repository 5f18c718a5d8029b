// Streaming: chunks checked before use, tensors that chunks cut apart, failures over HTTP and on disk.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";

import { CHUNK, download, folderUrl, readText } from "../src/fetch.ts";
import type { Shard, StoredTensor } from "../src/manifest.ts";
import type { DType } from "../src/tensors.ts";
import { weightDownloads } from "../src/weights.ts";

const folder = mkdtempSync(join(tmpdir(), "download-"));
after(() => rmSync(folder, { recursive: true }));
const disk = folderUrl(folder);

/** Nine mebibytes that no two places share. */
const data = new Uint8Array(Uint32Array.from({ length: 2_359_300 }, (_, i) => Math.imul(i, 2654435761)).buffer);
const digests = (bytes: Uint8Array): string[] =>
  Array.from({ length: Math.ceil(bytes.length / CHUNK) }, (_, i) =>
    createHash("sha256")
      .update(bytes.subarray(i * CHUNK, (i + 1) * CHUNK))
      .digest("hex"),
  );
const stored = { file: "shard.safetensors", bytes: data.length, chunks: digests(data) };
writeFileSync(join(folder, stored.file), data);

async function collect(
  from: string,
  file = stored,
  signal?: AbortSignal,
): Promise<{ got: Uint8Array; told: number[] }> {
  const got = new Uint8Array(file.bytes);
  const told: number[] = [];
  const accept = (bytes: Uint8Array, position: number): void => got.set(bytes, position);
  await download(from, [{ stored: file, accept }], (loaded) => told.push(loaded), signal);
  return { got, told };
}

test("a file in chunks", async () => {
  const { got, told } = await collect(disk);
  assert.deepEqual(got, data);
  assert.equal(told.at(-1), data.length);
});

test("without crypto.subtle, as on insecure origins", async () => {
  const platform = Object.getOwnPropertyDescriptor(globalThis, "crypto")!;
  Object.defineProperty(globalThis, "crypto", { value: {}, configurable: true });
  try {
    assert.deepEqual((await collect(disk)).got, data);
  } finally {
    Object.defineProperty(globalThis, "crypto", platform);
  }
});

test("a damaged chunk is named, and not handed on", async () => {
  const chunks = stored.chunks.with(1, "0".repeat(64));
  let accepted = 0;
  const accept = (bytes: Uint8Array): void => void (accepted += bytes.length);
  await assert.rejects(download(disk, [{ stored: { ...stored, chunks }, accept }]), {
    code: "pack-hash",
    message: /^shard\.safetensors, chunk 1 \(bytes 4194304 to 8388608\)/,
  });
  assert.equal(accepted, CHUNK);
});

for (const [what, bytes, words] of [
  ["a cut file", data.length + 1, /should have 9437201 bytes and has 9437200/],
  ["a longer file", data.length - 1, /more than its 9437199 bytes/],
] as const) {
  test(what, async () => {
    await assert.rejects(collect(disk, { ...stored, bytes }), { code: "pack-hash", message: words });
  });
}

test("a missing file, and a folder for a file", async () => {
  await assert.rejects(collect(disk, { ...stored, file: "none" }), { code: "pack-missing-file", message: /none/ });
  await assert.rejects(readText(pathToFileURL(tmpdir()).href + "/", ".", undefined), { code: "pack-invalid" });
});

async function serving(listener: RequestListener, action: (url: string) => Promise<void>): Promise<void> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  try {
    await action(`http://127.0.0.1:${(server.address() as AddressInfo).port}/pack/?key=1`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test("over HTTP, with the query kept", async () => {
  await serving(
    (request, response) => response.end(request.url === `/pack/${stored.file}?key=1` ? data : ""),
    async (url) => assert.deepEqual((await collect(folderUrl(url))).got, data),
  );
});

for (const [status, code] of [
  [404, "pack-missing-file"],
  [410, "pack-missing-file"],
  [403, "pack-invalid"],
  [500, "pack-invalid"],
] as const) {
  test(`HTTP ${status}`, async () => {
    await serving(
      (_, response) => response.writeHead(status).end("no"),
      async (url) =>
        void (await assert.rejects(collect(folderUrl(url)), { code, message: new RegExp(`HTTP ${status}`) })),
    );
  });
}

test("a connection that breaks", async () => {
  await serving(
    (_, response) => {
      response.writeHead(200, { "Content-Length": data.length });
      response.write(data.subarray(0, 100_000), () => response.destroy());
    },
    async (url) => void (await assert.rejects(collect(folderUrl(url)), { code: "pack-invalid", message: /broke/ })),
  );
});

test("no server", async () => {
  let gone = "";
  await serving(
    () => undefined,
    async (url) => void (gone = url),
  );
  await assert.rejects(collect(folderUrl(gone)), { code: "pack-missing-file", message: /cannot be fetched/ });
});

test("an abort ends what hangs, with its reason", async () => {
  await serving(
    (_, response) => void response.writeHead(200).write(data.subarray(0, 1000)),
    async (url) => {
      const abort = new AbortController();
      const pending = collect(folderUrl(url), stored, abort.signal);
      setTimeout(() => abort.abort(new RangeError("enough")), 50);
      await assert.rejects(pending, { name: "RangeError", message: "enough" });
    },
  );
  await assert.rejects(collect(disk, stored, AbortSignal.abort()), { name: "AbortError" });
});

test("the first failure stops the others", async () => {
  let open = 0;
  await serving(
    (request, response) => {
      if (request.url!.includes("bad")) return void response.writeHead(404).end();
      open++;
      response.on("close", () => open--);
      response.writeHead(200).write("x");
    },
    async (url) => {
      const files = ["a", "b", "bad", "c"].map((file) => ({ stored: { ...stored, file }, accept: () => undefined }));
      await assert.rejects(download(folderUrl(url), files), { code: "pack-missing-file" });
      for (let i = 0; open && i < 100; i++) await new Promise((resolve) => setTimeout(resolve, 10));
      assert.equal(open, 0);
    },
  );
});

test("addresses", () => {
  assert.equal(folderUrl("http://a/b"), "http://a/b/");
  assert.equal(folderUrl("http://a/b/pack.json?s=1"), "http://a/b/?s=1");
  assert.equal(folderUrl(new URL("file:///x/y/")), "file:///x/y/");
  assert.equal(folderUrl("/x/y#z"), "file:///x/y%23z/");
  assert.throws(() => folderUrl("http://"), { code: "pack-missing-file" });
});

for (const held of ["float32", "float16"] as const) test(`tensors arrive whole, as ${held}, wherever chunks end`, async () => {
  const begin = 8; // a header that is not read
  const kinds: [DType, DType, number][] = [
    ["uint8", "uint8", 3],
    ["float16", held, 2_097_143], // up to and across the first end of a chunk, at odd addresses
    ["float32", "float32", 5],
    ["int64", "int64", 524_287],
    ["int64", "int64", 3],
    ["bool", "bool", 0],
    ["float16", "float16", 7],
  ];
  const widths = { uint8: 1, bool: 1, float16: 2, float32: 4, int64: 8 } as Record<DType, number>;
  let offset = 0;
  const tensors = kinds.map(([dtype, , elements], i): StoredTensor => {
    const bytes = elements * widths[dtype]!;
    offset += bytes;
    return { name: `t${i}`, dtype, elements, shard: 0, offset: offset - bytes, bytes };
  });
  const shards: Shard[] = [{ ...stored, data: begin }];
  const placed = kinds.map(([, dtype], tensor) => ({ tensor, dtype })).reverse();
  const got = new Map<number, Uint8Array>();
  const write = ({ tensor, dtype }: (typeof placed)[number], at: number, bytes: Uint8Array): void => {
    const all = got.get(tensor) ?? new Uint8Array(tensors[tensor]!.elements * widths[dtype]!);
    all.set(bytes, at);
    assert.equal(at % 4, 0, `t${tensor}`);
    got.set(tensor, all);
  };
  await download(disk, weightDownloads({ shards, tensors }, placed, write));
  tensors.forEach(({ offset, bytes, elements }, i) => {
    const raw = data.slice(begin + offset, begin + offset + bytes);
    const [from, to] = kinds[i]!;
    if (from === to) return assert.deepEqual(got.get(i) ?? new Uint8Array(), raw, `t${i}`);
    const view = new DataView(raw.buffer);
    const wide = new Float32Array(got.get(i)!.buffer);
    for (let e = 0; e < elements; e += 97)
      assert.ok(Object.is(wide[e], half(view.getUint16(2 * e, true))), `element ${e}`);
    assert.ok(Object.is(wide.at(-1), half(view.getUint16(bytes - 2, true))));
  });
});

function half(bits: number): number {
  const [exponent, fraction, sign] = [(bits >> 10) & 31, (bits & 1023) / 1024, bits & 0x8000 ? -1 : 1];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1 + fraction) * 2 ** (exponent - 15) : fraction * 2 ** -14);
}

test("shards of which nothing is placed are not fetched", () => {
  const tensors: StoredTensor[] = [{ name: "t", dtype: "float32", elements: 1, shard: 1, offset: 0, bytes: 4 }];
  const shards: Shard[] = [
    { ...stored, data: 8 },
    { ...stored, data: 8, file: "second" },
  ];
  const found = weightDownloads({ shards, tensors }, [{ tensor: 0, dtype: "float32" }], () => undefined);
  assert.deepEqual(
    found.map((each) => each.stored.file),
    ["second"],
  );
});
