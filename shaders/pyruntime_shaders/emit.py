"""Renders a program for WebGPU: each kernel call to dispatches, equal kernels to one shader."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from pyruntime.ir.dims import Dim
from pyruntime.ir.kernel import KernelCall, Program, Tensor
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
        for call in program.calls:
            for kernel in kernels_for(call):
                number = numbers.setdefault(kernel.key, len(rendered.shaders))
                if number == len(rendered.shaders):
                    rendered.shaders.append(_shader(kernel, rendered.shaders))
                dispatches.append(
                    Dispatch(call, number, (INFINITY_BITS, *kernel.words), kernel.workgroups, kernel.tensors)
                )
        rendered.entries.append(dispatches)
    return rendered


def render_program(program: Program) -> Rendered:
    """Render a program alone: `render_programs` of one."""
    return render_programs([program])


def _shader(kernel: Kernel, earlier: Sequence[Shader]) -> Shader:
    count = sum(s.name.rpartition("_")[0] == kernel.template for s in earlier)
    return Shader(f"{kernel.template}_{count}", kernel.render(), kernel.access, 1 + len(kernel.words))
