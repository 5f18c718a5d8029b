"""Typed errors with stable codes, the same in Python and JavaScript."""

from __future__ import annotations

from collections.abc import Sequence


class PyRuntimeError(Exception):
    """Base of all errors that pyruntime raises on purpose; `code` is stable across releases and languages."""

    code = "error"


class ModelError(PyRuntimeError):
    """The model file is missing, truncated, not a model, or inconsistent."""

    code = "model-invalid"


class OptionError(PyRuntimeError, ValueError):
    """An option of `convert` has a value that it cannot have, or that does not fit the model."""

    code = "option"


class UnsupportedError(PyRuntimeError):
    """A model uses something that cannot be converted; the message names node, op, reason and remedy.

    Args:
        op: the operator, as the user's model names it.
        node: the node's name in the user's model.
        reason: what exactly is not supported.
        remedy: what the user can do about it.
    """

    code = "unsupported"

    def __init__(self, op: str, node: str, reason: str, remedy: str = "") -> None:
        self.op, self.node, self.reason, self.remedy = op, node, reason, remedy
        super().__init__(f"{op} {node!r}: {reason}." + (f" {remedy}" if remedy else ""))


class UnsupportedNodesError(UnsupportedError):
    """Several nodes of one model cannot be converted; attributes are those of the first.

    Args:
        entries: one error per node, in the model's order; at least one.
    """

    SHOWN = 10

    def __init__(self, entries: Sequence[UnsupportedError]) -> None:
        first = entries[0]
        super().__init__(first.op, first.node, first.reason, first.remedy)
        self.entries = tuple(entries)
        lines = [f"{len(entries)} nodes cannot be converted:", *(f"  {e}" for e in entries[: self.SHOWN])]
        if len(entries) > self.SHOWN:
            lines.append(f"  and {len(entries) - self.SHOWN} more")
        self.args = ("\n".join(lines),)


class CompilerError(PyRuntimeError):
    """No usable C compiler for Wasm was found, or it failed; the message quotes what it said."""

    code = "compiler"


class PackError(PyRuntimeError):
    """The pack is damaged, incomplete or inconsistent; the message names file and field."""

    code = "pack-invalid"


class PackVersionError(PackError):
    """The pack's format is newer than this runtime, or needs a feature that it does not know."""

    code = "pack-version"


class HashError(PackError):
    """A file of the pack does not have the bytes that the pack was written with."""

    code = "pack-hash"


class MissingFileError(PackError):
    """A file that the pack names is not there."""

    code = "pack-missing-file"


class InputError(PyRuntimeError):
    """A fed tensor has the wrong name, dtype, shape or value range."""

    code = "input"


class DeviceError(PyRuntimeError):
    """The asked device is not available here, or was lost; the message says what to install or change."""

    code = "device"


class DeviceLostError(DeviceError):
    """The GPU was lost for good: it is the user's own, or loading the pack once more did not help."""


class MemoryLimitError(PyRuntimeError):
    """The model needs more bytes, for these shapes, than the device allows; the message names the bytes."""

    code = "memory"


class RunError(PyRuntimeError):
    """The program failed while running (a trap, an index out of range, an abort)."""

    code = "run"


class StateError(RunError):
    """The session's state cannot do this: there is none, it is full, or saved bytes do not fit it."""

    code = "state"


class BlockingError(PyRuntimeError):
    """A web page cannot wait for this call; the message says what to await instead. In Python alone."""

    code = "blocking"


class DisposedError(PyRuntimeError):
    """The session was closed before this call."""

    code = "disposed"
