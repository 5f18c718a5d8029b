// The bytes of a pack's file as they come: from the web, from a body that a cache keeps, or from a disk.

import { messageOf, MissingFileError, PackError } from "./errors.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** Bytes that are being read. */
export interface Reading {
  /**
   * Reads what comes next into a room that is not empty, and gives its part that was filled: nothing at the end. The
   * memory may have moved: the room's own is then detached, and the part lies in what took its place.
   */
  read(room: Bytes): Promise<Bytes>;
  /** Ends reading, early or not; never rejects. */
  close(): Promise<unknown>;
}

/** A file that is being read. */
export interface Source extends Reading {
  /** Where in the file it begins. */
  readonly begin: number;
}

/** Bytes of a disk that are read at once. */
const DISK = 1 << 20;

/** Gives Node's own modules; undefined in a page, which has a document, whatever a bundler says about `process`. */
export const node: NodeJS.Process["getBuiltinModule"] | undefined =
  typeof document === "undefined" ? globalThis.process?.getBuiltinModule : undefined;

/** Begins to read a file, at `begin` where a server sends ranges. */
export function openSource(url: URL, cache: RequestCache, signal?: AbortSignal, begin = 0): Promise<Source> {
  return node && url.protocol === "file:" ? fromDisk(url, signal) : overHttp(url, cache, signal, begin);
}

async function overHttp(
  url: URL,
  cache: RequestCache,
  signal: AbortSignal | undefined,
  begin: number,
): Promise<Source> {
  let response: Response;
  try {
    response = await fetch(url, {
      cache,
      ...(begin && { headers: { Range: `bytes=${begin}-` } }),
      ...(signal && { signal }),
    });
  } catch (error) {
    signal?.throwIfAborted();
    const problem = `${url.href} cannot be fetched (offline, or refused by CORS?): ${messageOf(error)}`;
    throw new MissingFileError(problem, { cause: error });
  }
  if (!response.ok || !response.body) {
    const problem = `${url.href}: HTTP ${response.status} ${response.statusText}`;
    throw response.status === 404 || response.status === 410 ? new MissingFileError(problem) : new PackError(problem);
  }
  const broken = (why: string): Error => new PackError(`${url.href}: the connection broke: ${why}`);
  return { begin: response.status === 206 ? begin : 0, ...fromBody(response.body, broken, signal) };
}

/** Reads a body; `failure` makes the error when it ends early, whose `cause` tells that it did. */
export function fromBody(
  body: ReadableStream<Bytes>,
  failure: (why: string) => Error,
  signal?: AbortSignal,
): Reading {
  const { read, close } = filling(body) ?? copying(body);
  return {
    close: () => close().catch(() => undefined),
    async read(room) {
      try {
        return await read(room);
      } catch (error) {
        signal?.throwIfAborted();
        throw Object.assign(failure(messageOf(error)), { cause: error });
      }
    },
  };
}

/** A reader that fills rooms itself; engines that have none for such bodies throw. */
function filling(body: ReadableStream<Bytes>): Reading | undefined {
  let reader: ReadableStreamBYOBReader;
  try {
    reader = body.getReader({ mode: "byob" });
  } catch {
    return undefined;
  }
  return {
    read: async (room) => (await reader.read(room)).value ?? new Uint8Array(),
    close: () => reader.cancel(),
  };
}

function copying(body: ReadableStream<Bytes>): Reading {
  const reader = body.getReader();
  let part = new Uint8Array();
  return {
    async read(room) {
      while (!part.length) {
        const { value } = await reader.read();
        if (!value) break;
        part = value;
      }
      const filled = room.subarray(0, part.length);
      filled.set(part.subarray(0, filled.length));
      part = part.subarray(filled.length);
      return filled;
    },
    close: () => reader.cancel(),
  };
}

async function fromDisk(url: URL, signal?: AbortSignal): Promise<Source> {
  const told = async <T>(action: Promise<T>): Promise<T> => {
    try {
      return await action;
    } catch (error) {
      const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
      throw new (missing ? MissingFileError : PackError)(messageOf(error));
    }
  };
  const file = await told(node!("node:fs/promises").open(url));
  return {
    begin: 0,
    async read(room) {
      signal?.throwIfAborted();
      const part = room.subarray(0, DISK);
      return part.subarray(0, (await told(file.read(part))).bytesRead);
    },
    close: () => file.close().catch(() => undefined),
  };
}
