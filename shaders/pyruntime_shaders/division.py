"""Which calls of a program WGSL computes, and why the others are left to the host.

A 64-bit integer is a 32-bit word on the GPU. What the host computes need not fit one, so that whoever reads
it is the host, too, up to where it becomes a shorter type.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pyruntime.errors import UnsupportedError
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import KernelCall, Map, Tensor
from pyruntime.ir.program import Program, Read
from pyruntime_shaders.intervals import Interval
from pyruntime_shaders.module import Kernel, refusal

# one sum or difference of such integers fits 32 bits
NARROW: Mapping[DType, Interval] = {DType.I64: (1 - 2**30, 2**30 - 1), DType.U64: (0, 2**31 - 1)}


@dataclass
class Division:
    """A program's calls by their step's number.

    Attributes:
        kernels: those of the calls that the GPU computes.
        host: why the others are not computed there.
        unable: which of these WGSL cannot compute; the others go with them.
        narrowed: inputs that are refused outside these bounds, which is what proves the rest.
        intervals: what the integers of each tensor lie in, where known.
    """

    kernels: dict[int, list[Kernel]] = field(default_factory=dict)
    host: dict[int, UnsupportedError] = field(default_factory=dict)
    unable: set[int] = field(default_factory=set)
    narrowed: dict[Tensor, Interval] = field(default_factory=dict)
    intervals: dict[Tensor, Interval | None] = field(default_factory=dict)


def kernels_for(call: KernelCall) -> list[Kernel]:
    """The kernels of one call. Raises UnsupportedError for what WGSL cannot compute."""
    module = importlib.import_module(f"pyruntime_shaders.kernels.{call.template}")
    kernels: list[Kernel] = module.prepare(call)
    return kernels


def divide(program: Program) -> Division:
    """Divide a program lowered for WebGPU; notes on its tensors what their integers lie in, where known.

    Where a sum or difference alone stands against it, fed integers of 64 bits are taken to be half as large
    as 32 bits allow, which the runtime then checks: such integers count and index. Products would need more.
    """
    division = _settled(program, {})
    if division.unable:
        narrowed = {t: NARROW[t.dtype] for t in program.inputs if t.dtype in NARROW}
        division = _narrowed(program, division, narrowed)
    for tensor, interval in division.intervals.items():
        tensor.interval = interval
    _keep_between(program, division)
    return division


def _narrowed(program: Program, division: Division, inputs: Mapping[Tensor, Interval]) -> Division:
    """With as few inputs narrowed as are needed for what narrowing all of them proves."""
    best = _settled(program, inputs)
    if not best.unable < division.unable:
        return division
    for tensor in inputs:
        fewer = _settled(program, {t: i for t, i in best.narrowed.items() if t is not tensor})
        best = fewer if fewer.unable == best.unable else best
    return best


def _settled(program: Program, narrowed: Mapping[Tensor, Interval]) -> Division:
    """Passes until none finds more for the host."""
    tensors = dict.fromkeys(t for c in program.calls for t in c.tensors())
    before = {t: t.interval for t in tensors}
    division = Division(narrowed=dict(narrowed))
    while True:
        for tensor in tensors:
            tensor.interval = narrowed.get(tensor, before[tensor])
        known, division = division, _divided(program, division)
        if len(division.host) == len(known.host):
            break
    for tensor in tensors:
        division.intervals[tensor], tensor.interval = tensor.interval, before[tensor]
    return division


def _divided(program: Program, known: Division) -> Division:
    """One pass, with what earlier ones found: tensors may be written by several calls, and in loops."""
    made = Division({}, dict(known.host), set(known.unable), known.narrowed)
    written = _Written(program)
    wide = {c.output.tensor for n, c in _numbered(program) if n in known.host and _is_long(c.output.tensor)}
    for number, call in _numbered(program):
        reason = made.host.get(number) or _reason(call, wide)
        if reason is None:
            try:
                made.kernels[number] = kernels_for(call)
            except UnsupportedError as error:
                reason = error
                made.unable.add(number)
        if reason is not None:
            made.host[number] = reason
            if _is_long(call.output.tensor):
                wide.add(call.output.tensor)
        written.add(call, made.kernels.get(number))
    return made


def _numbered(program: Program) -> Iterator[tuple[int, KernelCall]]:
    return ((n, s) for n, s in enumerate(program.steps) if isinstance(s, KernelCall))


def _is_long(tensor: Tensor) -> bool:
    return tensor.dtype.is_integer and tensor.dtype.bits == 64


def _reason(call: KernelCall, wide: set[Tensor]) -> UnsupportedError | None:
    tensor = next((t for t in call.tensors() if t in wide), None)
    if tensor is None:
        return None
    return refusal(call, f"64-bit integers of {tensor.name!r}, which the host computes, may not fit 32 bits")


def _keep_between(program: Program, division: Division) -> None:
    """Leave to the host what is cheap, and lies between its steps: two crossings less."""
    writers = Counter(c.output.tensor for c in program.calls)
    while True:
        made = {c.output.tensor for n, c in _numbered(program) if n in division.host}
        made -= {c.output.tensor for n, c in _numbered(program) if n not in division.host}
        wanted = {t for n, c in _numbered(program) if n not in division.host for t in c.tensors()[:-1]}
        wanted |= {s.tensor for s in program.steps if isinstance(s, Read)}
        moved = [
            (number, call)
            for number, call in _numbered(program)
            if number in division.kernels
            and isinstance(call, Map)
            and call.output.tensor.kind == "temporary"
            and writers[call.output.tensor] == 1
            and call.output.tensor not in wanted
            and _all_of(call, made)
        ]
        if not moved:
            return
        for number, call in moved:
            del division.kernels[number]
            division.host[number] = refusal(call, "what it reads and what reads it lies on the host")


def _all_of(call: KernelCall, made: set[Tensor]) -> bool:
    """Whether a call reads tensors that the host makes, and beside these only what is there anyway."""
    read = [t for t in call.tensors()[:-1] if t.kind not in ("weight", "input")]
    return bool(read) and all(t in made for t in read)


class _Written:
    """Notes on each integer tensor what it can hold, as soon as every call that writes it was seen."""

    def __init__(self, program: Program) -> None:
        self._left = Counter(c.output.tensor for c in program.calls)
        self._found: dict[Tensor, list[Interval | None]] = {}

    def add(self, call: KernelCall, kernels: Sequence[Kernel] | None) -> None:
        """Take in the next call of the program; None for the kernels of one that the host computes."""
        tensor = call.output.tensor
        if tensor.kind == "state":  # it also holds what earlier runs wrote, and what the user set
            return
        found = self._found.setdefault(tensor, [])
        found += [None] if kernels is None else [kernel.interval for kernel in kernels]
        self._left[tensor] -= 1
        intervals = [i for i in found if i is not None]
        if self._left[tensor] == 0 and intervals and len(intervals) == len(found):
            tensor.interval = min(i[0] for i in intervals), max(i[1] for i in intervals)
