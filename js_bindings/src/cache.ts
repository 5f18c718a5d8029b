// Keeps a pack's checked files in the browser's Cache Storage, chunk by chunk under their hashes: a second visit
// fetches none of them, and one after a download that broke only the rest. pack.json, which has no hash, is fetched
// whenever there is a network.

import type { StoredFile } from "./fetch.ts";
import type { Manifest } from "./manifest.ts";

/** The name of the cache that `cache: true` stands for. */
export const DEFAULT_CACHE = "pyruntime";

/** Storage may be full, forbidden or gone at any time; loading goes on without it. */
const harmless = <T>(action: Promise<T>): Promise<T | undefined> => action.catch(() => undefined);

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

  /** A chunk of a file, not checked yet; undefined where it is not kept. */
  async read(stored: StoredFile, index: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const found = await harmless(this.#cache.match(this.#key(stored, index)));
    const bytes = found && (await harmless(found.arrayBuffer()));
    return bytes && new Uint8Array(bytes);
  }

  /** Keeps a chunk that was checked; its bytes are copied. */
  async write(stored: StoredFile, index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    await harmless(this.#cache.put(this.#key(stored, index), new Response(bytes)));
  }

  /** The latest pack.json whose files were kept; undefined where there is none. */
  async manifest(): Promise<string | undefined> {
    return (await harmless(this.#cache.match(this.#manifest)))?.text();
  }

  /** Keeps pack.json, and forgets what of the folder is not among its files: earlier versions of the pack. */
  async keepOnly(manifest: string, files: readonly StoredFile[]): Promise<void> {
    await harmless(this.#cache.put(this.#manifest, new Response(manifest)));
    const wanted = new Set([
      this.#manifest,
      ...files.flatMap((each) => each.chunks.map((_, index) => this.#key(each, index))),
    ]);
    for (const { url } of (await harmless(this.#cache.keys())) ?? []) {
      if (url.startsWith(this.#folder.href) && !wanted.has(url)) await harmless(this.#cache.delete(url));
    }
  }

  get #manifest(): string {
    return new URL("pack.json", this.#folder).href;
  }

  /** An address that names the content of the chunk, so that other content is another entry. */
  #key({ file, chunks }: StoredFile, index: number): string {
    const url = new URL(file, this.#folder);
    url.search = `sha256=${chunks[index]}`;
    return url.href;
  }
}

/** Every file that a pack lists, of all targets and variants. */
export function filesOf({ weights, assets, targets }: Manifest): StoredFile[] {
  return [...weights.shards, ...assets, ...(targets.wasm?.variants ?? []), ...(targets.webgpu?.variants ?? []), ...(targets.webgpu?.host?.variants ?? []), ...(targets.webgpu?.tuned ?? [])];
}
