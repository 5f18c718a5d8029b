"""Renders a program for WebGPU: each kernel call to dispatches, equal kernels to one shader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyruntime.errors import UnsupportedError, UnsupportedNodesError
from pyruntime.ir.dims import Dim
from pyruntime.ir.dtypes import WORD_RANGES
from pyruntime.ir.kernel import KernelCall
from pyruntime.ir.program import Placement, Program
from pyruntime.ir.views import Tensor
from pyruntime_shaders.division import Division, divide, kernels_for
from pyruntime_shaders.intervals import limits
from pyruntime_shaders.module import INFINITY_BITS, Kernel, Workgroups
from pyruntime_shaders.storage import Access, Form


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


def divide_programs(programs: Sequence[Program], *, host_steps: bool = False) -> list[Division]:
    """What of each entry of a pack the GPU computes.

    Args:
        programs: one program per entry, lowered for WebGPU. Element counts stay below 2^31, which the
            caller has checked where dims are known.
        host_steps: whether what WGSL cannot compute is left to the host.

    Raises:
        UnsupportedError: without `host_steps`, for calls that WGSL cannot compute: float64, more than 8
            tensors; one error for all of them.
    """
    for program in programs:
        for state in program.states:  # which are pairs, and begin as copies of weights
            if state.initial is not None and state.initial.dtype in WORD_RANGES:
                state.initial.interval = limits(state.initial.dtype)
    divisions = []
    for program in programs:
        division = divide(program)
        if division.host and not host_steps:
            raise _refused([division.host[n] for n in sorted(division.unable)])
        divisions.append(division)
    return divisions


def render_divided(
    programs: Sequence[Program],
    divisions: Sequence[Division],
    forms: Mapping[Tensor, Form] | None = None,
    placements: Sequence[Placement] | None = None,
) -> Rendered:
    """Render one variant of the entries of a pack; they share shaders.

    Args:
        programs: one program per entry.
        divisions: of each, what the GPU computes.
        forms: how tensors lie in memory, where not as words.
        placements: of each program, where its tensors lie; by default no two in one buffer.

    Returns:
        `entries[e]` are the dispatches of `programs[e]`. The same programs give the same bytes.
    """
    rendered, numbers = Rendered(), dict[object, int]()
    placements = placements or [Placement({}, [], [])] * len(programs)
    for program, division, placement in zip(programs, divisions, placements, strict=True):
        dispatches: list[Dispatch] = []
        for step, kernels in sorted(division.kernels.items()):
            call = program.steps[step]
            assert isinstance(call, KernelCall)
            for kernel in (k.over(forms or {}, placement.beside(k.tensors)) for k in kernels):
                number = numbers.setdefault(kernel.key, len(rendered.shaders))
                if number == len(rendered.shaders):
                    rendered.shaders.append(_shader(kernel, rendered.shaders))
                dispatches.append(
                    Dispatch(call, number, (INFINITY_BITS, *kernel.words), kernel.workgroups, kernel.tensors)
                )
        rendered.entries.append(dispatches)
    return rendered


def _refused(errors: Sequence[UnsupportedError]) -> UnsupportedError:
    """The errors of calls as one, which names each node once."""
    remedy = 'Allow host steps, or leave "webgpu" out of the targets for this model.'
    first: dict[tuple[str, str], UnsupportedError] = {}
    for e in errors:
        first.setdefault((e.op, e.node), UnsupportedError(e.op, e.node, e.reason, remedy))
    named = list(first.values())
    return named[0] if len(named) == 1 else UnsupportedNodesError(named)


def render_programs(programs: Sequence[Program], *, host_steps: bool = False) -> Rendered:
    """Divide programs and render what the GPU computes, over words. Raises as `divide_programs`."""
    return render_divided(programs, divide_programs(programs, host_steps=host_steps))


def _shader(kernel: Kernel, earlier: Sequence[Shader]) -> Shader:
    count = sum(s.name.rpartition("_")[0] == kernel.template for s in earlier)
    return Shader(f"{kernel.template}_{count}", kernel.render(), kernel.access, 1 + len(kernel.words))


__all__ = [
    "Dispatch",
    "Rendered",
    "Shader",
    "divide_programs",
    "kernels_for",
    "render_divided",
    "render_programs",
]
