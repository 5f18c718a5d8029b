// Keeps a pack's checked files in the browser's Cache Storage, under their hashes: a second visit fetches none of them.
// pack.json, which has no hash, is fetched whenever there is a network.

import type { StoredFile } from "./fetch.ts";
import type { Manifest } from "./manifest.ts";
import { sha256 } from "./sha256.ts";

/** The name of the cache that `cache: true` stands for. */
export const DEFAULT_CACHE = "pyruntime";

/** Storage may be full, forbidden or gone at any time; loading goes on without it. */
const harmless = <T>(action: Promise<T>): Promise<T | undefined> => action.catch(() => undefined);

/** A file on its way into the cache. */
export class Storing {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #stored: Promise<unknown>;

  constructor(cache: Cache, key: string) {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    this.#writer = writable.getWriter();
    // what cannot be stored is not read either: without an abort, writes would wait for ever
    this.#stored = cache.put(key, new Response(readable)).catch((error: unknown) => this.#writer.abort(error));
    this.#stored.catch(() => undefined);
  }

  /** Takes the next checked bytes. They are copied; the promise is kept when there is room for more. */
  async write(bytes: Uint8Array): Promise<void> {
    await harmless(this.#writer.write(bytes.slice()));
  }

  /** The file is complete: waits until it lies in the cache. */
  async end(): Promise<void> {
    await harmless(this.#writer.close().then(() => this.#stored));
  }

  /** The file will not be complete: nothing is kept. */
  async abort(reason: unknown): Promise<void> {
    await harmless(this.#writer.abort(reason));
  }
}

/** The files of one pack's folder in a cache. */
export class FileCache {
  readonly #cache: Cache;
  readonly #folder: URL;

  private constructor(cache: Cache, folder: string) {
    this.#cache = cache;
    this.#folder = new URL(folder);
    this.#folder.search = ""; // a signature, which changes while what it signs does not
  }

  /** The cache of this name; none in Node, on insecure pages, and where the browser forbids storage. */
  static async open(name: string | undefined, folder: string): Promise<FileCache | undefined> {
    if (name === undefined || typeof caches === "undefined" || !/^https?:/.test(folder)) return undefined;
    const cache = await harmless(caches.open(name));
    return cache && new FileCache(cache, folder);
  }

  /** The bytes of a file, not checked yet; undefined where it is not kept. */
  async read(stored: StoredFile): Promise<ReadableStream<Uint8Array<ArrayBuffer>> | undefined> {
    const found = await harmless(this.#cache.match(await this.#key(stored)));
    return found?.body ?? undefined;
  }

  /** Begins to store a file. */
  async store(stored: StoredFile): Promise<Storing> {
    return new Storing(this.#cache, await this.#key(stored));
  }

  /** Forgets a file that turned out to be damaged. */
  async remove(stored: StoredFile): Promise<void> {
    await harmless(this.#cache.delete(await this.#key(stored)));
  }

  /** The latest pack.json whose files were kept; undefined where there is none. */
  async manifest(): Promise<string | undefined> {
    return (await harmless(this.#cache.match(this.#manifest)))?.text();
  }

  /** Keeps pack.json, and forgets what of the folder is not among its files: earlier versions of the pack. */
  async keepOnly(manifest: string, files: readonly StoredFile[]): Promise<void> {
    await harmless(this.#cache.put(this.#manifest, new Response(manifest)));
    const wanted = new Set([this.#manifest, ...(await Promise.all(files.map((each) => this.#key(each))))]);
    for (const { url } of (await harmless(this.#cache.keys())) ?? []) {
      if (url.startsWith(this.#folder.href) && !wanted.has(url)) await harmless(this.#cache.delete(url));
    }
  }

  get #manifest(): string {
    return new URL("pack.json", this.#folder).href;
  }

  /** An address that names the content too, so that a file with other content is another entry. */
  async #key({ file, chunks }: StoredFile): Promise<string> {
    const url = new URL(file, this.#folder);
    url.search = `sha256=${chunks.length === 1 ? chunks[0] : await sha256(new TextEncoder().encode(chunks.join()))}`;
    return url.href;
  }
}

/** Every file that a pack lists, of all targets and variants. */
export function filesOf({ weights, assets, targets }: Manifest): StoredFile[] {
  return [...weights.shards, ...assets, ...(targets.wasm?.variants ?? []), ...(targets.webgpu?.variants ?? []), ...(targets.webgpu?.host?.variants ?? [])];
}
