// Reads a pack's files, from the web or from a disk, in chunks whose SHA-256 is checked before they are used.

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
  const reader = response.body.getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
  } catch (error) {
    signal?.throwIfAborted();
    throw new PackError(`${url.href}: the connection broke: ${messageOf(error)}`);
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

/** Reads one file; `advance` hears of arrived bytes. */
async function readChunks(
  folder: string,
  { stored, accept }: Download,
  advance: (bytes: number) => void,
  signal: AbortSignal,
) {
  const { file, bytes, chunks, chunk = CHUNK } = stored;
  const buffer = new Uint8Array(Math.min(chunk, bytes));
  let position = 0; // of the buffer in the file
  let filled = 0;
  const cutOff = (): HashError => new HashError(`${file} should have ${bytes} bytes and has ${position + filled}`);
  // names of shards are content hashes; other files may have changed behind a cache's back
  for await (let part of read(folder, file, stored.chunk === undefined ? "default" : "no-cache", signal)) {
    advance(part.length);
    while (part.length) {
      const taken = part.subarray(0, Math.min(chunk, bytes - position) - filled);
      buffer.set(taken, filled);
      filled += taken.length;
      part = part.subarray(taken.length);
      if (position + filled === bytes && part.length) throw new HashError(`${file} has more than its ${bytes} bytes`);
      if (filled < chunk && position + filled < bytes) continue;
      const whole = buffer.subarray(0, filled);
      const index = position / chunk;
      if ((await sha256(whole)) !== chunks[index]) {
        throw new HashError(
          `${file}, chunk ${index} (bytes ${position} to ${position + filled}) is damaged: its SHA-256 differs`,
        );
      }
      signal.throwIfAborted();
      accept(whole, position);
      position += filled;
      filled = 0;
    }
  }
  if (position !== bytes) throw cutOff();
}

/**
 * Reads files in parallel and stops all of them at the first error.
 *
 * @throws MissingFileError, HashError (with file and chunk), PackError, or the signal's reason.
 */
export async function download(
  folder: string,
  files: readonly Download[],
  onProgress?: Progress,
  signal?: AbortSignal,
): Promise<void> {
  const total = files.reduce((sum, { stored }) => sum + stored.bytes, 0);
  const stop = new AbortController();
  const forward = (): void => stop.abort(signal?.reason);
  signal?.throwIfAborted();
  signal?.addEventListener("abort", forward);
  const waiting = [...files];
  let loaded = 0;
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const { file } = next.stored;
      const advance = (bytes: number): void => onProgress?.((loaded += bytes), total, file);
      await readChunks(folder, next, advance, stop.signal);
    }
  };
  try {
    await Promise.all(Array.from({ length: PARALLEL }, work));
  } catch (error) {
    stop.abort(error);
    throw error;
  } finally {
    signal?.removeEventListener("abort", forward);
  }
}
