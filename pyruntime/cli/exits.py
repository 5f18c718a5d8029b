"""The one table of exit codes: what each means, and which errors end with it."""

from __future__ import annotations

from typing import NamedTuple

from pyruntime.errors import (
    CompilerError,
    DeviceError,
    DisposedError,
    InputError,
    MemoryLimitError,
    ModelError,
    OptionError,
    PackError,
    PyRuntimeError,
    RunError,
    UnsupportedError,
)

DONE, BAD_FILE, USAGE, UNSUPPORTED, NO_DEVICE, FAILED, BUG, INTERRUPTED = 0, 1, 2, 3, 4, 5, 70, 130


class Exit(NamedTuple):
    """An exit code, when it is used, and the errors that lead to it (their subclasses too)."""

    code: int
    when: str
    errors: tuple[type[Exception], ...] = ()


EXITS = (
    Exit(DONE, "done"),
    Exit(
        BAD_FILE,
        "a model, pack or other file is missing, damaged, or cannot be written",
        (ModelError, PackError, OSError, PyRuntimeError),
    ),
    Exit(USAGE, "the command line is wrong, or an input does not fit the model", (InputError, OptionError)),
    Exit(UNSUPPORTED, "the model uses something that cannot be converted", (UnsupportedError,)),
    Exit(NO_DEVICE, "this machine lacks a device, a compiler or a package", (DeviceError, CompilerError)),
    Exit(
        FAILED,
        "the model failed while running, needs too much memory, or differs from the reference",
        (RunError, MemoryLimitError, MemoryError, DisposedError),
    ),
    Exit(BUG, "a bug in pyruntime: the traceback is shown"),
    Exit(INTERRUPTED, "ended by Ctrl-C before it was done"),
)

_CODES: dict[type, int] = {error: row.code for row in EXITS for error in row.errors}
HANDLED = tuple(error for row in EXITS for error in row.errors)


def exit_code(error: Exception) -> int:
    """The exit code of one of the `HANDLED` errors: that of its nearest listed base class."""
    return next(_CODES[base] for base in type(error).__mro__ if base in _CODES)
