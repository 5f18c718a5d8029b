// Reads a pack's files, from the web or from a disk, in chunks whose SHA-256 is checked before they are used.

import { FileCache } from "./cache.ts";
import { HashError, messageOf, MissingFileError, PackError } from "./errors.ts";
import { sha256 } from "./sha256.ts";

/** Bytes of a shard that one digest covers. */
export const CHUNK = 4 << 20;

/** A file as pack.json lists it; `chunk` is how many bytes a digest covers where that is not `CHUNK`. */
export interface StoredFile {
  readonly file: string;
  readonly bytes: number;
  readonly chunks: readonly string[];
  readonly chunk?: number;
}

/** Called as bytes arrive: how many so far, of how many, and in which file. */
export type Progress = (loaded: number, total: number, file?: string) => void;

/** A file to read, and who gets its checked chunks in order; `bytes` is only valid during the call. */
export interface Download {
  readonly stored: StoredFile;
  readonly accept: (bytes: Uint8Array<ArrayBuffer>, position: number) => void;
}

/** How many files are read at once; browsers open six connections to a host. */
const PARALLEL = 6;

// in a page there is a document, whatever a bundler says about `process`
const node = typeof document === "undefined" ? globalThis.process?.getBuiltinModule : undefined;

/** The address of a pack's folder; relative ones count from the page, or from the working folder. */
export function folderUrl(url: string | URL): string {
  const text = String(url);
  let found: URL;
  try {
    if (/^(https?|file):/i.test(text)) found = new URL(text);
    else if (node) found = node("node:url").pathToFileURL(text);
    else found = new URL(text, typeof document === "undefined" ? location.href : document.baseURI);
  } catch {
    throw new MissingFileError(`${JSON.stringify(text)} is not the address of a pack`);
  }
  found.pathname = found.pathname.replace(/\/(pack\.json)?$/, "") + "/";
  return found.href;
}

/** The address of a file beside pack.json; a query, such as a signature, is kept. */
function fileUrl(folder: string, file: string): URL {
  const url = new URL(file, folder);
  url.search = new URL(folder).search;
  return url;
}

type Parts = AsyncGenerator<Uint8Array, void, undefined>;

async function* overHttp(url: URL, cache: RequestCache, signal?: AbortSignal): Parts {
  let response: Response;
  try {
    response = await fetch(url, { cache, ...(signal && { signal }) });
  } catch (error) {
    signal?.throwIfAborted();
    throw new MissingFileError(`${url.href} cannot be fetched (offline, or refused by CORS?): ${messageOf(error)}`);
  }
  if (!response.ok || !response.body) {
    const problem = `${url.href}: HTTP ${response.status} ${response.statusText}`;
    throw response.status === 404 || response.status === 410 ? new MissingFileError(problem) : new PackError(problem);
  }
  yield* partsOf(response.body, (why) => new PackError(`${url.href}: the connection broke: ${why}`), signal);
}

/** The parts of a body; `failure` makes the error when it ends early. */
async function* partsOf(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  failure: (why: string) => Error,
  signal?: AbortSignal,
): Parts {
  const reader = body.getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
  } catch (error) {
    signal?.throwIfAborted();
    throw failure(messageOf(error));
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

async function* fromDisk(url: URL, signal?: AbortSignal): Parts {
  const { createReadStream } = node!("node:fs");
  try {
    yield* createReadStream(url, { highWaterMark: 1 << 20, ...(signal && { signal }) });
  } catch (error) {
    signal?.throwIfAborted();
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    throw new (missing ? MissingFileError : PackError)(messageOf(error));
  }
}

function read(folder: string, file: string, cache: RequestCache, signal?: AbortSignal): Parts {
  const url = fileUrl(folder, file);
  return node && url.protocol === "file:" ? fromDisk(url, signal) : overHttp(url, cache, signal);
}

/** The whole text of a file that no digest covers. */
export async function readText(folder: string, file: string, signal?: AbortSignal): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const part of read(folder, file, "no-cache", signal)) text += decoder.decode(part, { stream: true });
  return text + decoder.decode();
}

/** Cuts a file into the chunks that its digests cover, and hands on each that is right. */
class Chunks {
  /** How many bytes were handed on. */
  position = 0;
  readonly #next: Download;
  readonly #size: number;
  readonly #buffer: Uint8Array<ArrayBuffer>;

  constructor(next: Download) {
    const { bytes, chunk = CHUNK } = next.stored;
    this.#next = next;
    this.#size = chunk;
    this.#buffer = new Uint8Array(Math.min(chunk, bytes));
  }

  /** Takes what comes after `position`, and yields chunks that were handed on; the buffer is then used again. */
  async *take(parts: Parts, signal: AbortSignal): Parts {
    const { file, bytes } = this.#next.stored;
    let filled = 0;
    for await (let part of parts) {
      while (part.length) {
        const taken = part.subarray(0, Math.min(this.#size, bytes - this.position) - filled);
        this.#buffer.set(taken, filled);
        filled += taken.length;
        part = part.subarray(taken.length);
        const end = this.position + filled;
        if (end === bytes && part.length) throw new HashError(`${file} has more than its ${bytes} bytes`);
        if (filled < this.#size && end < bytes) continue;
        const whole = this.#buffer.subarray(0, filled);
        await this.#check(whole);
        signal.throwIfAborted();
        this.#next.accept(whole, this.position);
        this.position = end;
        filled = 0;
        yield whole;
      }
    }
    if (this.position !== bytes)
      throw new HashError(`${file} should have ${bytes} bytes and has ${this.position + filled}`);
  }

  async #check(whole: Uint8Array<ArrayBuffer>): Promise<void> {
    const { file, chunks } = this.#next.stored;
    const index = this.position / this.#size;
    if ((await sha256(whole)) === chunks[index]) return;
    const range = `bytes ${this.position} to ${this.position + whole.length}`;
    throw new HashError(`${file}, chunk ${index} (${range}) is damaged: its SHA-256 differs`);
  }
}

/** Reads one file, from the cache if it is there; `advance` hears of arrived bytes. Gives the bytes that were cached. */
async function readChunks(
  folder: string,
  next: Download,
  advance: (bytes: number) => void,
  signal: AbortSignal,
  cache: FileCache | undefined,
): Promise<number> {
  const { stored } = next;
  const chunks = new Chunks(next);
  let arrived = 0;
  async function* counted(parts: Parts): Parts {
    for await (const part of parts) {
      advance(part.length);
      arrived += part.length;
      yield part;
    }
  }
  const kept = await cache?.read(stored);
  if (kept) {
    const failure = (why: string): Error => new HashError(`${stored.file} cannot be read from the cache: ${why}`);
    try {
      for await (const _ of chunks.take(counted(partsOf(kept, failure, signal)), signal));
      return stored.bytes;
    } catch (error) {
      if (!(error instanceof HashError)) throw error;
      await cache!.remove(stored); // damaged: the rest is fetched after all
      advance(chunks.position - arrived);
    }
  }
  const cached = chunks.position;
  const storing = cached ? undefined : await cache?.store(stored);
  try {
    // names of shards are content hashes; other files may have changed behind the HTTP cache's back
    const parts = read(folder, stored.file, stored.chunk === undefined ? "default" : "no-cache", signal);
    for await (const whole of chunks.take(counted(behind(parts, cached)), signal)) await storing?.write(whole);
  } catch (error) {
    await storing?.abort(error);
    throw error;
  }
  await storing?.end();
  return cached;
}

/** The parts of a file after its first `skipped` bytes. */
async function* behind(parts: Parts, skipped: number): Parts {
  for await (const part of parts) {
    const rest = part.subarray(Math.min(skipped, part.length));
    skipped -= part.length - rest.length;
    if (rest.length) yield rest;
  }
}

/**
 * Reads files in parallel and stops all of them at the first error.
 *
 * @param cacheName where files are kept and looked for; nowhere if it is left out.
 * @returns how many of the bytes came from that cache.
 * @throws MissingFileError, HashError (with file and chunk), PackError, or the signal's reason.
 */
export async function download(
  folder: string,
  files: readonly Download[],
  onProgress?: Progress,
  signal?: AbortSignal,
  cacheName?: string,
): Promise<number> {
  const total = files.reduce((sum, { stored }) => sum + stored.bytes, 0);
  const stop = new AbortController();
  const forward = (): void => stop.abort(signal?.reason);
  signal?.throwIfAborted();
  signal?.addEventListener("abort", forward);
  const cache = await FileCache.open(cacheName, folder);
  const waiting = [...files];
  let loaded = 0;
  let cached = 0;
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const { file } = next.stored;
      const advance = (bytes: number): void => onProgress?.((loaded += bytes), total, file);
      const kept = await readChunks(folder, next, advance, stop.signal, cache);
      cached += kept; // in a line of its own: other files end while this one is awaited
    }
  };
  try {
    await Promise.all(Array.from({ length: PARALLEL }, work));
    return cached;
  } catch (error) {
    stop.abort(error);
    throw error;
  } finally {
    signal?.removeEventListener("abort", forward);
  }
}
