"""Kernels in C: one module per template of `pyruntime.ir.kernel`, found by the template's name.

Products of short integers have a module of their own, `<template>_integer`, those with a weight in blocks
`<template>_blocks`, and recurrent layers of doubles `<template>_double`.

A module holds `KERNEL`, an object of the `Kernel` protocol. A rendered kernel is one C function

    void NAME(T0 *output, const T1 *input, ..., int32_t, ...)

whose parameters are in the order of `arguments(call)`: a View becomes a pointer to its first element (tensor
address plus offset), SCRATCH the address of the part's scratch memory, SHARED that of the lead's, which every
part sees, a Dim an int32_t, a Share three or, with phases, four. What has no Share runs on one thread.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pyruntime.ir.dims import Dim
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Conv, KernelCall, MatMul, Recurrence
from pyruntime.ir.views import View

if TYPE_CHECKING:
    import jinja2


class Scratch(Enum):
    """Stands in `arguments` for the address of scratch memory: the part's own, or what all parts see."""

    SCRATCH = "scratch"
    SHARED = "shared"


SCRATCH, SHARED = Scratch


@dataclass(frozen=True)
class Share:
    """Stands in `arguments` for the part of the call to compute: int32_t `cut`, `first` and `last`.

    The call is cut along one axis, in units that the kernel chooses so that each element comes out the same
    in whichever part it lies; a part is [first, last) of them. A part may be run by any thread, at the same
    time as others of its call; it has scratch memory of its own.

    Attributes:
        axis: the value of `cut`; what it numbers is the kernel's, and may depend on sizes.
        units: how many there are.
        work: what the whole call takes, in multiplications and additions of a tile: about 16 a nanosecond.
        phases: how often the parts are run, each time after all have ended; the kernel is told which time it
            is by int32_t `phase`. What a phase leaves in SHARED the next ones read.
    """

    axis: Dim
    units: Dim
    work: Dim
    phases: Dim | None = None


Argument = View | Dim | Scratch | Share


class Kernel(Protocol):
    """What a template offers; `call` is of the template's class."""

    def key(self, call: Any) -> Hashable:
        """All that decides the code; equal keys share it. Its repr is the same in every run."""

    def render(self, call: Any, name: str) -> str:
        """C source of the function `name`, and of static helpers whose names begin with `name`."""

    def scratch(self, call: Any) -> Dim:
        """Bytes that the call needs while it runs, beside its tensors."""

    def arguments(self, call: Any) -> Sequence[Argument]:
        """What the call passes, in the C signature's order."""


def kernel_for(call: KernelCall) -> Kernel:
    """The kernel of the call's template. Raises ModuleNotFoundError for a template that Wasm lacks."""
    told = any(getattr(call, name, None) for name in ("prologue", "left", "asides", "extremes"))
    assert not told, f"{call.name}: prologues, computed operands, asides and extremes are WebGPU's alone"
    form = "_integer" if isinstance(call, MatMul | Conv) and call.exact else ""
    if isinstance(call, MatMul) and call.blocks is not None:
        form = "_blocks"
    if isinstance(call, Recurrence) and call.output.tensor.dtype is DType.F64:
        form = "_double"
    kernel: Kernel = importlib.import_module(f"{__name__}.{call.template}{form}").KERNEL
    return kernel


@functools.cache
def environment() -> jinja2.Environment:
    """The templates of this package; see their syntax in any of them."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent.parent / "templates"),
        undefined=jinja2.StrictUndefined,
        variable_start_string="${",
        variable_end_string="}",
        block_start_string="/*%",
        block_end_string="%*/",
        comment_start_string="/*#",
        comment_end_string="#*/",
        line_statement_prefix="//%",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        extensions=["jinja2.ext.do"],
        autoescape=False,
    )
    made.globals["require"] = _require
    return made


def _require(condition: bool, message: str) -> None:
    """What templates state about their parameters."""
    if not condition:
        raise ValueError(message)


def render_template(template: str, **parameters: Any) -> str:
    """The text of templates/<template>.c.j2 with these parameters."""
    return environment().get_template(f"{template}.c.j2").render(**parameters)
