// Files in a cache: found again, checked again, fetched from where they are damaged or a download broke; storage that
// fails harms nothing.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, afterEach, beforeEach, test } from "node:test";

import { FileCache } from "../src/cache.ts";
import { CHUNK, download, type StoredFile } from "../src/fetch.ts";

/** What is used of Cache Storage, in memory: Node has none. */
class Memory {
  readonly kept = new Map<string, Uint8Array>();
  async open(): Promise<this> {
    return this;
  }
  async match(key: string): Promise<Response | undefined> {
    const found = this.kept.get(key);
    return found && new Response(found as Uint8Array<ArrayBuffer>);
  }
  async put(key: string, response: Response): Promise<void> {
    this.kept.set(key, new Uint8Array(await response.arrayBuffer()));
  }
  async delete(key: string): Promise<boolean> {
    return this.kept.delete(key);
  }
  async keys(): Promise<{ url: string }[]> {
    return [...this.kept.keys()].map((url) => ({ url }));
  }
}

const data = new Uint8Array(Uint32Array.from({ length: 2_359_300 }, (_, i) => Math.imul(i, 2654435761)).buffer);
const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const chunks = Array.from({ length: Math.ceil(data.length / CHUNK) }, (_, i) =>
  digest(data.subarray(i * CHUNK, (i + 1) * CHUNK)),
);
const stored: StoredFile = { file: "shard.safetensors", bytes: data.length, chunks };

/** How many bytes of its next answers the server sends before the connection breaks; of later ones all. */
let breaks: number[] = [];
/** Whether it knows ranges. */
let ranges = true;
/** Where each request began; of one without a range, nothing. */
let requests: (number | undefined)[] = [];
const server = createServer(({ headers }, response) => {
  const asked = /^bytes=(\d+)-$/.exec(headers.range ?? "")?.[1];
  requests.push(asked === undefined ? undefined : Number(asked));
  const begin = ranges ? Number(asked ?? 0) : 0;
  response.writeHead(ranges && asked ? 206 : 200, { "Content-Length": data.length - begin });
  const body = data.subarray(begin);
  const most = breaks.shift() ?? Infinity;
  if (body.length <= most) response.end(body);
  else response.write(body.subarray(0, most), () => response.destroy());
}).listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));
after(() => server.close());
const folder = `http://127.0.0.1:${(server.address() as AddressInfo).port}/pack/`;

let memory: Memory;
const provide = (caches: unknown): void =>
  void Object.defineProperty(globalThis, "caches", { value: caches, configurable: true });
beforeEach(() => {
  [breaks, ranges, requests] = [[], true, []];
  provide((memory = new Memory()));
});
afterEach(() => void delete (globalThis as { caches?: unknown }).caches);

async function load(from = folder, file = stored): Promise<{ cached: number; told: number[] }> {
  const got = new Uint8Array(file.bytes);
  const told: number[] = [];
  const accept = (bytes: Uint8Array, position: number): void => got.set(bytes, position);
  const cached = await download(from, [{ stored: file, accept }], (loaded) => told.push(loaded), undefined, "kept");
  assert.deepEqual(got, data.subarray(0, file.bytes));
  assert.equal(told.at(-1), file.bytes);
  return { cached, told };
}

test("the second time nothing is fetched, whatever the signature in the address", async () => {
  assert.equal((await load(`${folder}?signature=1`)).cached, 0);
  assert.equal((await load(`${folder}?signature=2`)).cached, data.length);
  assert.equal(requests.length, 1);
  assert.deepEqual(Buffer.concat([...memory.kept.values()]), Buffer.from(data));
});

test("what is damaged is not kept", async () => {
  const other = { ...stored, chunks: chunks.with(1, "0".repeat(64)) };
  await assert.rejects(load(folder, other), { code: "pack-hash" });
  assert.equal(memory.kept.size, 1);
  assert.equal((await load()).cached, CHUNK, "a chunk that versions share is fetched once");
});

for (const [what, damage, good] of [
  ["in its first chunk", (bytes: Uint8Array) => bytes.fill(1, 5, 6), 0],
  ["in its second chunk", (bytes: Uint8Array) => bytes.fill(1, 5, 6), CHUNK],
  ["in that it lacks a piece", (bytes: Uint8Array) => bytes.subarray(0, 7), 2 * CHUNK],
] as const) {
  test(`an entry that is damaged ${what} is fetched from there on`, async () => {
    await load();
    const key = [...memory.kept.keys()][good / CHUNK]!;
    memory.kept.set(key, damage(memory.kept.get(key)!));
    assert.equal((await load()).cached, good);
    assert.deepEqual(requests, [undefined, good || undefined]);
    assert.equal((await load()).cached, data.length);
  });
}

for (const known of [true, false]) {
  test(`a download that broke goes on where the server knows ${known ? "ranges" : "no ranges"}`, async () => {
    [breaks, ranges] = [[CHUNK + 1000, known ? CHUNK + 1000 : 2 * CHUNK + 1000], known];
    assert.equal((await load()).cached, 0);
    assert.deepEqual(requests, [undefined, CHUNK, 2 * CHUNK]);
  });

  test(`so does the next visit where the server knows ${known ? "ranges" : "no ranges"}`, async () => {
    breaks = [2 * CHUNK + 1000, 10, 10];
    await assert.rejects(load(), { code: "pack-invalid", message: /connection broke/ });
    assert.deepEqual(requests, [undefined, 2 * CHUNK, undefined], "once more after nothing had come, without a range");
    [ranges, requests] = [known, []];
    assert.equal((await load()).cached, 2 * CHUNK);
    assert.deepEqual(requests, [2 * CHUNK]);
    assert.equal((await load()).cached, data.length);
  });
}

test("an abort keeps what had come", async () => {
  const abort = new AbortController();
  const onProgress = (loaded: number): void => void (loaded > 2 * CHUNK && abort.abort(new RangeError("enough")));
  const accept = (): void => undefined;
  await assert.rejects(download(folder, [{ stored, accept }], onProgress, abort.signal, "kept"), { name: "RangeError" });
  const { size } = memory.kept;
  assert.ok(size >= 1 && size <= 2);
  assert.equal((await load()).cached, size * CHUNK);
});

test("storage that fails, now or later, harms nothing", async () => {
  const fail = async (): Promise<never> => {
    throw new DOMException("no space left", "QuotaExceededError");
  };
  for (const method of ["open", "match", "put", "keys"] as const) {
    provide(Object.assign(new Memory(), { [method]: fail }));
    assert.equal((await load()).cached, 0, method);
  }
  const body = async (_: string, response: Response): Promise<void> => {
    await response.body!.getReader().read();
    await fail();
  };
  provide(Object.assign(new Memory(), { put: body }));
  assert.equal((await load()).cached, 0);
});

test("without storage, and from a disk, nothing is kept", async () => {
  assert.equal(await FileCache.open("kept", "file:///pack/"), undefined);
  assert.equal(await FileCache.open(undefined, folder), undefined);
  provide(undefined);
  assert.equal(await FileCache.open("kept", folder), undefined);
});

test("earlier versions leave, other packs stay", async () => {
  const old = { ...stored, file: "old.safetensors" };
  for (const [from, file] of [[folder, old], [folder, stored], [folder.replace("pack", "other"), old]] as const)
    await load(from, file);
  await (await FileCache.open("kept", folder))!.keepOnly("{}", [stored]);
  const paths = [...memory.kept.keys()].map((key) => new URL(key).pathname);
  const [ours, others] = ["/pack/shard.safetensors", "/other/old.safetensors"];
  assert.deepEqual(paths, [...chunks.map(() => ours), ...chunks.map(() => others), "/pack/pack.json"]);
});
