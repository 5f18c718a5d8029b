// Typed errors with stable codes: the same ones that Python's `pyruntime.errors` raises at run time.

/** Base of all errors that pyruntime raises on purpose; `code` is stable across releases and languages. */
export class PyRuntimeError extends Error {
  /** The name of the class. */
  override name = "PyRuntimeError";
  /** What kind of error this is, in every language. */
  readonly code: string = "error";
}

/** The pack is damaged, incomplete or inconsistent; the message names file and field. */
export class PackError extends PyRuntimeError {
  override name = "PackError";
  override readonly code: string = "pack-invalid";
}

/** The pack's format is newer than this runtime, or needs a feature that it does not know. */
export class PackVersionError extends PackError {
  override name = "PackVersionError";
  override readonly code = "pack-version";
}

/** A file of the pack does not have the bytes that the pack was written with. */
export class HashError extends PackError {
  override name = "HashError";
  override readonly code = "pack-hash";
}

/** A file that the pack names is not there. */
export class MissingFileError extends PackError {
  override name = "MissingFileError";
  override readonly code = "pack-missing-file";
}

/** A fed tensor has the wrong name, dtype, shape or value range. */
export class InputError extends PyRuntimeError {
  override name = "InputError";
  override readonly code = "input";
}

/** The asked device is not available here, or was lost; the message says what to install or change. */
export class DeviceError extends PyRuntimeError {
  override name = "DeviceError";
  override readonly code = "device";
}

/** The GPU was lost for good: it is the user's own, or loading the pack once more did not help. */
export class DeviceLostError extends DeviceError {
  override name = "DeviceLostError";
}

/** The model needs more bytes, for these shapes, than the device allows; the message names the bytes. */
export class MemoryLimitError extends PyRuntimeError {
  override name = "MemoryLimitError";
  override readonly code = "memory";
}

/** The program failed while running (a trap, an index out of range, an abort). */
export class RunError extends PyRuntimeError {
  override name = "RunError";
  override readonly code: string = "run";
}

/** The session's state cannot do this: there is none, it is full, or saved bytes do not fit it. */
export class StateError extends RunError {
  override name = "StateError";
  override readonly code = "state";
}

/** The session was closed before this call. */
export class DisposedError extends PyRuntimeError {
  override name = "DisposedError";
  override readonly code = "disposed";
}

const CLASSES: readonly (new (message: string) => PyRuntimeError)[] = [
  PyRuntimeError,
  PackError,
  PackVersionError,
  HashError,
  MissingFileError,
  InputError,
  DeviceError,
  DeviceLostError,
  MemoryLimitError,
  RunError,
  StateError,
  DisposedError,
];

/** What of an error crosses the boundary to and from a worker: classes do not survive structured cloning. */
export interface ErrorMessage {
  readonly name: string;
  readonly message: string;
}

/** An error as it is posted from a worker. */
export function packError(error: unknown): ErrorMessage {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  return { name, message };
}

/** The error that `packError` took apart, of the same class. */
export function unpackError({ name, message }: ErrorMessage): Error {
  for (const Class of CLASSES) {
    const error = new Class(message);
    if (error.name === name) return error;
  }
  return name === "AbortError" ? new DOMException(message, name) : Object.assign(new Error(message), { name });
}

/** The text of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
