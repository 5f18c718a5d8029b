"""Which calls of a program WGSL computes, and why the others are left to the host.

It also settles how the GPU holds 64-bit integers: as 32-bit words where what kernels write is proved to fit
them, or where a fed value is no more than an index or a condition; else as pairs of words.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType

from pyruntime.errors import UnsupportedError
from pyruntime.ir.dtypes import WORD_RANGES, needs_pair
from pyruntime.ir.kernel import KernelCall, Map
from pyruntime.ir.program import Program, Read
from pyruntime.ir.views import Tensor
from pyruntime_shaders.intervals import Interval
from pyruntime_shaders.module import Kernel, contents, refusal

Intervals = Mapping[Tensor, Interval | None]


@dataclass
class Division:
    """A program's calls by their step's number.

    Attributes:
        kernels: those of the calls that the GPU computes.
        host: why the others are not computed there.
        unable: which of these WGSL cannot compute; the others go with them.
        intervals: what the integers of each tensor lie in, where known.
    """

    kernels: dict[int, list[Kernel]] = field(default_factory=dict)
    host: dict[int, UnsupportedError] = field(default_factory=dict)
    unable: set[int] = field(default_factory=set)
    intervals: Intervals = field(default_factory=dict)


def kernels_for(call: KernelCall) -> list[Kernel]:
    """The kernels of one call. Raises UnsupportedError for what WGSL cannot compute."""
    kernels: list[Kernel] = _module(call).prepare(call)
    return kernels


def alternatives(call: KernelCall) -> list[list[Kernel]]:
    """For each of the kernels of a call all others that do the same, in other patches of the result."""
    module = _module(call)
    found = [{kernel.key: kernel} for kernel in kernels_for(call)]
    for patch in module.patches(call) if hasattr(module, "patches") else ():
        for others, other in zip(found, module.prepare(call, patch), strict=True):
            others.setdefault(other.key, other)
    return [[*others.values()][1:] for others in found]


def _module(call: KernelCall) -> ModuleType:
    return importlib.import_module(f"pyruntime_shaders.kernels.{call.template}")


def divide(program: Program) -> Division:
    """Divide a program lowered for WebGPU; notes on its tensors what their integers lie in, where known.

    Fed integers of 64 bits are words, which the runtime checks, where nothing that is stored as a pair is
    computed from them: such are indices and masks, of which no model means what is past 32 bits.
    """
    tensors = dict.fromkeys((*program.inputs, *(t for c in program.calls for t in c.tensors())))
    given = {t: t.interval or (contents(t) if t.dtype in WORD_RANGES else None) for t in tensors}
    division = _settled(program, given)
    words = _words(program, division)
    if words:
        division = _settled(program, given | {t: WORD_RANGES[t.dtype] for t in words})
    for tensor, interval in division.intervals.items():
        tensor.interval = interval
    _keep_between(program, division)
    return division


def _words(program: Program, division: Division) -> list[Tensor]:
    """Inputs that may be words: all that the GPU computes from them fits words, whatever they hold."""
    written: dict[Tensor, list[Tensor]] = {
        t: [] for t in program.inputs if t.dtype in WORD_RANGES and t not in program.outputs
    }
    for number, call in _numbered(program):
        *read, result = call.tensors()
        for tensor in read if number in division.kernels else ():
            if tensor in written:
                written[tensor].append(result)
    pairs = {t for t, interval in division.intervals.items() if needs_pair(t.dtype, interval)}
    return [t for t, results in written.items() if results and pairs.isdisjoint(results)]


def _settled(program: Program, given: Intervals) -> Division:
    """Passes until none finds more for the host; tensors are left with the intervals that they were given."""
    division = Division()
    while True:
        for tensor, interval in given.items():
            tensor.interval = interval
        known, division = division, _divided(program, division)
        if len(division.host) == len(known.host):
            break
    division.intervals = {t: t.interval for t in given}
    return division


def _divided(program: Program, known: Division) -> Division:
    """One pass, with what earlier ones found the host to compute."""
    made = Division({}, dict(known.host), set(known.unable))
    # what crosses to the host or back is not known to fit words
    crossing = {t for n, c in _numbered(program) if n in known.host for t in c.tensors()}
    written = _Written(program, crossing)
    seen: dict[int, object] = {}
    for number, call in _numbered(program):
        kernels = None
        if number not in known.host:
            seen[number] = _seen(call)
            kernels = _try(made, number, call)
        written.add(call, kernels)
    # some come before all that writes to their tensors is known: in loops, and where several write parts
    for number, call in _numbered(program):
        if number in seen and seen[number] != _seen(call):
            _try(made, number, call)
    return made


def _try(made: Division, number: int, call: KernelCall) -> list[Kernel] | None:
    """Note what computes a call, or why nothing does."""
    try:
        kernels = made.kernels[number] = kernels_for(call)
    except UnsupportedError as error:
        made.kernels.pop(number, None)
        made.host[number] = error
        made.unable.add(number)
        return None
    if number in made.unable:
        made.unable.remove(number)
        del made.host[number]
    return kernels


def _seen(call: KernelCall) -> object:
    """What the kernels of a call depend on beside the call itself."""
    *read, result = call.tensors()
    return [t.interval for t in read], result.pairs


def _numbered(program: Program) -> Iterator[tuple[int, KernelCall]]:
    return ((n, s) for n, s in enumerate(program.steps) if isinstance(s, KernelCall))


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
    """Notes on each integer tensor what it can hold, as soon as every call that writes it was seen.

    Nothing is known of states, which also hold what earlier runs wrote and users set, and of `unknown`.
    """

    def __init__(self, program: Program, unknown: Container[Tensor]) -> None:
        self._left = Counter(c.output.tensor for c in program.calls)
        self._unknown = unknown
        self._found: dict[Tensor, list[Interval | None]] = {}

    def add(self, call: KernelCall, kernels: Sequence[Kernel] | None) -> None:
        """Take in the next call of the program; None for the kernels of one that the host computes."""
        tensor = call.output.tensor
        if tensor.kind == "state" or tensor in self._unknown:
            return
        found = self._found.setdefault(tensor, [])
        found += [None] if kernels is None else [kernel.interval for kernel in kernels]
        self._left[tensor] -= 1
        intervals = [i for i in found if i is not None]
        if self._left[tensor] == 0 and intervals and len(intervals) == len(found):
            tensor.interval = min(i[0] for i in intervals), max(i[1] for i in intervals)
