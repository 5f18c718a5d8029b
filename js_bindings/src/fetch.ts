// Reads a pack's files, from the web or from a disk, in chunks whose SHA-256 is checked before they are used.

import { FileCache } from "./cache.ts";
import { HashError, MissingFileError } from "./errors.ts";
import { sha256 } from "./sha256.ts";
import { node, openSource, type Source } from "./source.ts";

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

/** Called before the first byte, and as bytes arrive: how many so far, of how many, and in which file. */
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

/** Hands on a file by the chunks that its digests cover, each once it is checked: kept ones, then those that come. */
class Chunks {
  /** How many bytes were handed on. */
  position = 0;
  readonly #next: Download;
  readonly #size: number;
  readonly #advance: (bytes: number) => void;
  readonly #cache: FileCache | undefined;
  /** Memory of a chunk that was handed on. */
  #spare: ArrayBuffer | undefined;

  /** `advance` hears of bytes that arrived. */
  constructor(next: Download, advance: (bytes: number) => void, cache: FileCache | undefined) {
    this.#next = next;
    this.#size = next.stored.chunk ?? CHUNK;
    this.#advance = advance;
    this.#cache = cache;
  }

  /** Takes the chunks that the cache keeps, up to the first that it lacks or that is damaged. */
  async restore(signal: AbortSignal): Promise<void> {
    const { stored } = this.#next;
    const read = (index: number): ReturnType<FileCache["read"]> | undefined => this.#cache?.read(stored, index);
    for (let index = 0, coming = read(0); index < stored.chunks.length; ) {
      const whole = await coming;
      coming = read(++index); // while this one is checked
      if (!whole || !(await this.#hand(whole, signal))) return;
      this.#advance(whole.length);
    }
  }

  /** Takes a file from `position` to its end, and closes it. A chunk is checked while the next one arrives. */
  async take(source: Source, signal: AbortSignal): Promise<void> {
    const { file, bytes } = this.#next.stored;
    let handing: Promise<void> | undefined;
    try {
      for (let left = this.position - source.begin; left > 0; left -= this.#size)
        this.#spare = (await this.#fill(source, Math.min(this.#size, left))).buffer;
      for (let begin = this.position; begin < bytes; begin += this.#size) {
        const size = Math.min(this.#size, bytes - begin);
        const whole = await this.#fill(source, size, this.#advance);
        await handing;
        if (whole.length < size)
          throw new HashError(`${file} should have ${bytes} bytes and has ${begin + whole.length}`);
        handing = this.#keep(whole, signal);
        handing.catch(() => undefined); // awaited above and below
      }
      if ((await source.read(new Uint8Array(1))).length)
        throw new HashError(`${file} has more than its ${bytes} bytes`);
      await handing;
    } finally {
      await Promise.allSettled([handing, source.close()]);
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

  /** Hands on a chunk that came, or throws HashError; then keeps it, before its memory is used again. */
  async #keep(whole: Bytes, signal: AbortSignal): Promise<void> {
    const { stored } = this.#next;
    const begin = this.position;
    const index = begin / this.#size;
    if (!(await this.#hand(whole, signal))) {
      const range = `bytes ${begin} to ${begin + whole.length}`;
      throw new HashError(`${stored.file}, chunk ${index} (${range}) is damaged: its SHA-256 differs`);
    }
    await this.#cache?.write(stored, index, whole);
    this.#spare = whole.buffer;
  }

  /** Hands on a chunk, unless it is damaged. */
  async #hand(whole: Bytes, signal: AbortSignal): Promise<boolean> {
    const { stored, accept } = this.#next;
    const digest = await sha256(whole);
    signal.throwIfAborted();
    if (digest !== stored.chunks[this.position / this.#size]) return false;
    accept(whole, this.position);
    this.position += whole.length;
    return true;
  }
}

/**
 * Reads one file, from the cache as far as it is there; `advance` hears of arrived bytes.
 *
 * @returns the bytes that were cached.
 */
async function readFile(
  folder: string,
  next: Download,
  advance: (bytes: number) => void,
  signal: AbortSignal,
  cache: FileCache | undefined,
): Promise<number> {
  const { stored } = next;
  let arrived = 0;
  const count = (bytes: number): void => {
    arrived += bytes;
    advance(bytes);
  };
  const chunks = new Chunks(next, count, cache);
  await chunks.restore(signal);
  const cached = chunks.position;
  const url = fileUrl(folder, stored.file);
  // names of shards are content hashes; other files may have changed behind the HTTP cache's back
  const mode = stored.chunk === undefined ? "default" : "no-cache";
  for (let stuck = 0; chunks.position < stored.bytes; ) {
    const begun = chunks.position;
    try {
      // the second time from its begin: not all servers, and policies of other origins, know ranges
      await chunks.take(await openSource(url, mode, signal, stuck ? 0 : begun), signal);
    } catch (error) {
      stuck = chunks.position > begun ? 0 : stuck + 1;
      // only connections that broke have a cause: they are taken up again, as long as they bring something
      if (signal.aborted || (error as Error).cause === undefined || stuck > 1) throw error;
      count(chunks.position - arrived);
    }
  }
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
    onProgress?.(0, total, files[0]?.stored.file);
    await Promise.all(Array.from({ length: PARALLEL }, work));
    return cached;
  } catch (error) {
    stop.abort(error);
    throw error;
  } finally {
    signal?.removeEventListener("abort", forward);
  }
}
