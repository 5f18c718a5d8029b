// Files in a cache: found again, checked again, fetched anew when damaged; storage that fails harms nothing.

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

let requests = 0;
const server = createServer((_, response) => {
  requests++;
  response.end(data);
}).listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));
after(() => server.close());
const folder = `http://127.0.0.1:${(server.address() as AddressInfo).port}/pack/`;

let memory: Memory;
const provide = (caches: unknown): void =>
  void Object.defineProperty(globalThis, "caches", { value: caches, configurable: true });
beforeEach(() => {
  requests = 0;
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
  assert.equal(requests, 1);
  assert.deepEqual([...memory.kept.values()], [data]);
});

test("another content is another entry", async () => {
  await load();
  const other = { ...stored, chunks: chunks.with(0, "0".repeat(64)) };
  await assert.rejects(load(folder, other), { code: "pack-hash" });
  assert.equal(requests, 2);
  assert.deepEqual([...memory.kept.values()], [data], "what is damaged is not kept");
});

for (const [what, damage, good] of [
  ["in its first chunk", (bytes: Uint8Array) => bytes.fill(1, 5, 6), 0],
  ["in its second chunk", (bytes: Uint8Array) => bytes.fill(1, CHUNK + 5, CHUNK + 6), CHUNK],
  ["cut off", (bytes: Uint8Array) => bytes.subarray(0, 2 * CHUNK + 7), 2 * CHUNK],
] as const) {
  test(`an entry that is damaged ${what} is fetched from there on`, async () => {
    await load();
    const [key] = memory.kept.keys();
    memory.kept.set(key!, damage(data.slice()));
    assert.equal((await load()).cached, good);
    assert.equal(requests, 2);
    await load(); // stores the file if the last time could not
    assert.equal((await load()).cached, data.length);
  });
}

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
  assert.deepEqual(paths, ["/pack/shard.safetensors", "/other/old.safetensors", "/pack/pack.json"]);
});
