"""What rewriting a program for WebGPU takes: what may be computed elsewhere, and steps in place of others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, cast

from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Conv, KernelCall, Map, MatMul, Row
from pyruntime.ir.program import Jump, Program, Step
from pyruntime.ir.scalar import Acc, Call, Const, Index, Load, Size, walk
from pyruntime.ir.views import Tensor, View


def replaced(program: Program, made: Callable[[Step], Sequence[Step]]) -> Program:
    """A program with other steps in place of each, or with none; jumps lead where they led."""
    found, place = list[Step](), [0]  # of each step among the new ones
    for step in program.steps:
        found += made(step)
        place.append(len(found))
    return replace(
        program,
        steps=[replace(s, to=place[s.to]) if isinstance(s, Jump) else s for s in found],
        commit=None if program.commit is None else place[program.commit],
    )


def without(program: Program, gone: Container[str], changed: Mapping[str, Step]) -> Program:
    """A program without some steps, and with others changed, by name."""
    return replaced(program, lambda step: () if step.name in gone else (changed.get(step.name, step),))


@dataclass(frozen=True)
class Absorbed:
    """What takes the place of a call whose readers compute its result themselves.

    Attributes:
        readers: these, in their order; None for one that cannot.
        kept: what is left of the call itself, if anything.
    """

    readers: Sequence[KernelCall | None]
    kept: Sequence[KernelCall] = ()


def absorb(program: Program, take: Callable[[Map | Row, Sequence[KernelCall]], Absorbed | None]) -> Program:
    """The program without Maps and Rows whose readers can compute their results.

    `program` stays as it is; the result shares its tensors. Programs that set symbols of their own, on which
    sizes may hang, are left alone.

    Args:
        program: what to change.
        take: is given each that alone writes a temporary, and the calls that read it, as they are by
            then; None leaves all as it is.
    """
    if program.own_symbols:
        return program
    steps = [*program.steps]
    for call in program.calls:
        tensor, calls = call.output.tensor, [s for s in steps if isinstance(s, KernelCall)]
        if not isinstance(call, (Map, Row)) or not written_once(program, calls, tensor):
            continue
        readers = [c for c in calls if tensor in c.tensors()[:-1]]
        found = take(call, readers) if readers else None
        made = [m for m in found.readers if m is not None] if found else []
        if found is None or len(made) < len(readers):
            continue
        first, places = steps.index(call), [steps.index(r) for r in readers]
        read = {v.tensor for v in call.reads()} & {v.tensor for m in made for v in m.reads()}
        if overwritten(steps[first + 1 : max(places) + 1], read):
            continue
        for place, reader in zip(places, made, strict=True):
            steps[place] = reader
        steps[first : first + 1] = found.kept
    changed = {s.name: s for s in steps}
    return without(program, {s.name for s in program.steps} - changed.keys(), changed)


def written_once(program: Program, calls: Iterable[KernelCall], tensor: Tensor) -> bool:
    """Whether a tensor is a temporary that one of the calls alone writes, and no output."""
    inside = tensor.kind == "temporary" and tensor not in program.outputs
    return inside and sum(c.output.tensor is tensor for c in calls) == 1


def overwritten(after: Iterable[Step], read: Collection[Tensor]) -> bool:
    """Whether steps write any of these tensors: up to the last that is to read them, and that one too.

    It may be one that stores the next value of a state.
    """
    return any(isinstance(s, KernelCall) and s.output.tensor in read for s in after)


def in_float64(call: Map | Row | MatMul | Conv) -> bool:
    """Whether trees of a call have float64 in them, which WGSL lacks: Wasm computes it.

    Wasm in turn knows no further values of rows, no computed operands and no prologues.
    """
    trees = [call.body]
    if isinstance(call, Row):
        trees += [*(r.body for r in call.reductions), *(a.body for a in call.asides)]
    return any(n.dtype is DType.F64 for t in trees for n in walk(t))


def with_views(value: Any, change: Callable[[View], View]) -> Any:
    """A call, or a part of one, with other views."""
    if isinstance(value, View):
        return change(value)
    if isinstance(value, tuple):
        made = tuple(with_views(v, change) for v in value)
        return value if all(a is b for a, b in zip(made, value, strict=True)) else made
    # dims and trees hold no views
    if not is_dataclass(value) or isinstance(value, (Call, Const, Index, Load, Size, Acc, Tensor)):
        return value
    found = {f.name: getattr(value, f.name) for f in fields(value) if f.init}
    changed = {n: m for n, v in found.items() if (m := with_views(v, change)) is not v}
    return replace(cast(Any, value), **changed) if changed else value
