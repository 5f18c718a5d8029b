"""Renders a program for WebGPU: each kernel call to dispatches, equal kernels to one shader."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from pyruntime.ir.dims import Dim
from pyruntime.ir.kernel import KernelCall, Tensor
from pyruntime.ir.program import Program
from pyruntime_shaders.intervals import Interval
from pyruntime_shaders.module import INFINITY_BITS, Access, Kernel, Workgroups


@dataclass(frozen=True)
class Shader:
    """One WGSL module.

    Attributes:
        name: stable, such as "map_3": the template, and a count per template in order of first use.
        code: the text; entry point `main`.
        access: "read" or "read_write" for each storage buffer; the uniform follows at the next binding.
        words: i32 words of the uniform, word 0 included.
    """

    name: str
    code: str
    access: tuple[Access, ...]
    words: int


@dataclass(frozen=True)
class Dispatch:
    """One dispatch of a program.

    Attributes:
        call: the kernel call that it belongs to. A call gives one dispatch, or several of which the dims
            leave exactly one with workgroups (a call with nothing to do: none).
        shader: index into `Rendered.shaders`.
        words: all uniform words as dims, word 0 (the bits of infinity) included; i32.
        workgroups: counts in x, y, z, each at most 65535; to be skipped where one is zero.
        tensors: the storage buffers in binding order, all different; the last is written.
    """

    call: KernelCall
    shader: int
    words: tuple[Dim, ...]
    workgroups: Workgroups
    tensors: tuple[Tensor, ...]


@dataclass
class Rendered:
    """The shaders of one variant of a pack, and the dispatches of each of its entries, in order."""

    shaders: list[Shader] = field(default_factory=list)
    entries: list[list[Dispatch]] = field(default_factory=list)


def kernels_for(call: KernelCall) -> list[Kernel]:
    """The kernels of one call. Raises UnsupportedError for what WGSL cannot compute."""
    module = importlib.import_module(f"pyruntime_shaders.kernels.{call.template}")
    kernels: list[Kernel] = module.prepare(call)
    return kernels


def render_programs(programs: Sequence[Program]) -> Rendered:
    """Render the entries of a pack; they share shaders.

    Args:
        programs: one program per entry, lowered for WebGPU. Element counts stay below 2^31, which the
            caller has checked where dims are known.

    Returns:
        `entries[e]` are the dispatches of `programs[e]`. The same programs give the same bytes.

    Raises:
        UnsupportedError: for a call that WGSL cannot compute: float64, 64-bit integer arithmetic that may
            leave 32 bits, more than 8 tensors.
    """
    rendered, numbers = Rendered(), dict[object, int]()
    for program in programs:
        dispatches: list[Dispatch] = []
        written = _Written(program)
        for call in program.calls:
            kernels = kernels_for(call)
            written.add(call, kernels)
            for kernel in kernels:
                number = numbers.setdefault(kernel.key, len(rendered.shaders))
                if number == len(rendered.shaders):
                    rendered.shaders.append(_shader(kernel, rendered.shaders))
                dispatches.append(
                    Dispatch(call, number, (INFINITY_BITS, *kernel.words), kernel.workgroups, kernel.tensors)
                )
        rendered.entries.append(dispatches)
    return rendered


class _Written:
    """Notes on each integer tensor what it can hold, as soon as every call that writes it was seen."""

    def __init__(self, program: Program) -> None:
        self._left = Counter(c.output.tensor for c in program.calls)
        self._found: dict[Tensor, list[Interval | None]] = {}

    def add(self, call: KernelCall, kernels: Sequence[Kernel]) -> None:
        """Take in the next call of the program."""
        tensor = call.output.tensor
        if tensor.kind == "state":  # it also holds what earlier runs wrote, and what the user set
            return
        found = self._found.setdefault(tensor, [])
        found += [kernel.interval for kernel in kernels]
        self._left[tensor] -= 1
        intervals = [i for i in found if i is not None]
        if self._left[tensor] == 0 and intervals and len(intervals) == len(found):
            tensor.interval = min(i[0] for i in intervals), max(i[1] for i in intervals)


def render_program(program: Program) -> Rendered:
    """Render a program alone: `render_programs` of one."""
    return render_programs([program])


def _shader(kernel: Kernel, earlier: Sequence[Shader]) -> Shader:
    count = sum(s.name.rpartition("_")[0] == kernel.template for s in earlier)
    return Shader(f"{kernel.template}_{count}", kernel.render(), kernel.access, 1 + len(kernel.words))
