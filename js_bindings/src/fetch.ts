// Reads a pack's files, from the web or from a disk, in chunks whose SHA-256 is checked before they are used.

import { FileCache } from "./cache.ts";
import { HashError, MissingFileError } from "./errors.ts";
import { sha256 } from "./sha256.ts";
import { fromBody, node, openSource, type Source } from "./source.ts";

type Bytes = Uint8Array<ArrayBuffer>;

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
  readonly accept: (bytes: Bytes, position: number) => void;
}

/** Bytes of a text that are read at once. */
const TEXT = 1 << 16;
/** How many files are read at once; browsers open six connections to a host. */
const PARALLEL = 6;

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

/** The whole text of a file that no digest covers. */
export async function readText(folder: string, file: string, signal?: AbortSignal): Promise<string> {
  const source = await openSource(fileUrl(folder, file), "no-cache", signal);
  const decoder = new TextDecoder();
  let text = "";
  try {
    for (;;) {
      const part = await source.read(new Uint8Array(TEXT));
      if (!part.length) return text + decoder.decode();
      text += decoder.decode(part, { stream: true });
    }
  } finally {
    await source.close();
  }
}

/** Reads a file by the chunks that its digests cover, and hands on each that is right. */
class Chunks {
  /** How many bytes were handed on. */
  position = 0;
  readonly #next: Download;
  readonly #size: number;
  readonly #advance: (bytes: number) => void;
  /** Memory of a chunk that was handed on. */
  #spare: ArrayBuffer | undefined;

  /** `advance` hears of bytes that arrived. */
  constructor(next: Download, advance: (bytes: number) => void) {
    this.#next = next;
    this.#size = next.stored.chunk ?? CHUNK;
    this.#advance = advance;
  }

  /**
   * Takes a file from `position` to its end, and closes it. A chunk is checked while the next one arrives.
   *
   * @param store gets chunks that were handed on, before their memory is used again.
   */
  async take(source: Source, signal: AbortSignal, store?: (whole: Bytes) => Promise<void>): Promise<void> {
    const { file, bytes } = this.#next.stored;
    let handing: Promise<void> | undefined;
    try {
      for (let begin = this.position; begin < bytes; begin += this.#size) {
        const size = Math.min(this.#size, bytes - begin);
        const whole = await this.#fill(source, size, this.#advance);
        await handing;
        if (whole.length < size)
          throw new HashError(`${file} should have ${bytes} bytes and has ${begin + whole.length}`);
        handing = this.#hand(whole, signal, store);
        handing.catch(() => undefined); // awaited above and below
      }
      if ((await source.read(new Uint8Array(1))).length)
        throw new HashError(`${file} has more than its ${bytes} bytes`);
      await handing;
    } finally {
      await Promise.allSettled([handing, source.close()]);
    }
  }

  /** Reads over what was handed on already. */
  async skip(source: Source): Promise<void> {
    for (let left = this.position; left > 0; left -= this.#size) {
      const { buffer } = await this.#fill(source, Math.min(this.#size, left));
      this.#spare = buffer;
    }
  }

  /** The next bytes, so many unless the file ends. */
  async #fill(source: Source, size: number, advance?: (bytes: number) => void): Promise<Bytes> {
    let buffer = this.#spare ?? new ArrayBuffer(Math.min(this.#size, this.#next.stored.bytes));
    this.#spare = undefined;
    let filled = 0;
    for (let part: Bytes | undefined; filled < size && part?.length !== 0; ) {
      part = await source.read(new Uint8Array(buffer, filled, size - filled));
      buffer = part.buffer;
      filled += part.length;
      advance?.(part.length);
    }
    return new Uint8Array(buffer, 0, filled);
  }

  async #hand(whole: Bytes, signal: AbortSignal, store?: (whole: Bytes) => Promise<void>): Promise<void> {
    const { file, chunks } = this.#next.stored;
    const index = this.position / this.#size;
    const digest = await sha256(whole);
    signal.throwIfAborted();
    if (digest !== chunks[index]) {
      const range = `bytes ${this.position} to ${this.position + whole.length}`;
      throw new HashError(`${file}, chunk ${index} (${range}) is damaged: its SHA-256 differs`);
    }
    this.#next.accept(whole, this.position);
    this.position += whole.length;
    await store?.(whole);
    this.#spare = whole.buffer;
  }
}

/** Reads one file, from the cache if it is there; `advance` hears of arrived bytes. Gives the bytes that were cached. */
async function readFile(
  folder: string,
  next: Download,
  advance: (bytes: number) => void,
  signal: AbortSignal,
  cache: FileCache | undefined,
): Promise<number> {
  const { stored } = next;
  let arrived = 0;
  const chunks = new Chunks(next, (bytes) => {
    arrived += bytes;
    advance(bytes);
  });
  const kept = await cache?.read(stored);
  if (kept) {
    const failure = (why: string): Error => new HashError(`${stored.file} cannot be read from the cache: ${why}`);
    try {
      await chunks.take(fromBody(kept, failure, signal, false), signal);
      return stored.bytes;
    } catch (error) {
      if (!(error instanceof HashError)) throw error;
      await cache!.remove(stored); // damaged: the rest is fetched after all
      advance(chunks.position - arrived);
    }
  }
  const cached = chunks.position;
  // names of shards are content hashes; other files may have changed behind the HTTP cache's back
  const mode = stored.chunk === undefined ? "default" : "no-cache";
  const source = await openSource(fileUrl(folder, stored.file), mode, signal);
  const storing = cached ? undefined : await cache?.store(stored);
  try {
    await chunks.skip(source);
    await chunks.take(source, signal, storing && ((whole) => storing.write(whole)));
  } catch (error) {
    await storing?.abort(error);
    throw error;
  }
  await storing?.end();
  return cached;
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
      const kept = await readFile(folder, next, advance, stop.signal, cache);
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
