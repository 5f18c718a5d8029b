"""Levels that products make of floats where they load them: one dispatch less, and nothing stored.

For WebGPU alone, where a level takes as much memory as a float, a word, and a dispatch costs more than a few
operations for each load. Wasm stores bytes, which its kernels read many times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pyruntime.ir.dims import Dim, at_least, floordiv
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Conv, KernelCall, Map, MatMul
from pyruntime.ir.program import Program, Step
from pyruntime.ir.prologue import Prologue
from pyruntime.ir.scalar import Call, Const, Load, Scalar, cost, transform, walk
from pyruntime.ir.symbols import occupied
from pyruntime.ir.views import View
from pyruntime_converter.lowering.lazy import MAX_TENSORS_READ
from pyruntime_converter.targets.edits import overwritten, without, written_once

MOST_COST = 16  # of a level
# of a product, each workgroup of which makes the levels of its rows anew: with more it had better load them
MOST_COLUMNS = 4096
_BYTES = (DType.I8, DType.U8)
_READ = (DType.F32, DType.I32, *_BYTES)


def quantize_on_load(program: Program) -> Program:
    """The program without Maps of levels that only products read: these make levels of what they load.

    `program` stays as it is; the result shares its tensors. Programs with steps in loops are left alone.
    """
    if program.own_symbols:
        return program
    changed: dict[str, Step] = {}  # by the call's name
    gone: set[str] = set()
    calls = [*program.calls]
    for number, call in enumerate(calls):
        if not isinstance(call, Map) or not _levels(program, call):
            continue
        readers = [i for i, c in enumerate(calls) if any(v.tensor is call.output.tensor for v in c.reads())]
        if not readers or overwritten(calls[number + 1 : readers[-1] + 1], {v.tensor for v in call.inputs}):
            continue
        made = [_absorbed(calls[i], call) for i in readers]
        if all(made):
            gone.add(call.name)
            changed |= {m.name: m for m in made if m is not None}
    return without(program, gone, changed)


def _levels(program: Program, call: Map) -> bool:
    """Whether a cheap Map is all that ever writes a temporary of bytes."""
    tensor = call.output.tensor
    return (
        tensor.dtype in _BYTES
        and written_once(program, program.calls, tensor)
        and cost(call.body) <= MOST_COST
        and all(
            isinstance(n, (Const, Load)) or (isinstance(n, Call) and n.function != "lookup")
            for n in walk(call.body)
        )
        and all(n.dtype is not DType.F64 for n in walk(call.body))
        and all(v.tensor.dtype in _READ and not v.guards and not v.indirect for v in call.inputs)
    )


def _absorbed(reader: KernelCall, levels: Map) -> MatMul | Conv | None:
    """`reader` with a prologue in place of `levels`; None where it cannot have one."""
    tensor = levels.output.tensor
    if isinstance(reader, MatMul):
        left, weight, columns = reader.a, reader.b, reader.n
        space: tuple[Dim, ...] = (*reader.batch, reader.m, reader.k)
    elif isinstance(reader, Conv):
        left, weight, columns = reader.x, reader.weight, reader.out_channels
        space = (reader.n, *reader.in_size, reader.in_channels)
    else:
        return None
    by_words = reader.panels > 0 and weight.tensor.dtype in _BYTES  # as `pyruntime_shaders.octets` has them
    alone = [v.tensor for v in reader.reads()].count(tensor) == 1 and left.tensor is tensor
    if not by_words or not alone or not at_least(MOST_COLUMNS, columns):
        return None
    views = _composed(left, space, levels)
    moving = [i for i, v in enumerate(views or ()) if v.strides[-1] != 0]
    if views is None or len(moving) != 1 or views[moving[0]].tensor.dtype is not DType.F32:
        return None
    order = [*moving, *(i for i in range(len(views)) if i not in moving)]

    def moved(leaf: Scalar) -> Scalar:
        return replace(leaf, operand=order.index(leaf.operand)) if isinstance(leaf, Load) else leaf

    first, *others = (views[i] for i in order)
    prologue = Prologue(transform(levels.body, moved), tuple(others))
    first = replace(first, fill=left.fill)
    made: MatMul | Conv
    if isinstance(reader, MatMul):
        made = replace(reader, a=first, prologue=prologue)
    else:
        made = replace(reader, x=first, prologue=prologue)
    made = replace(made, origins=tuple(dict.fromkeys((*made.origins, *levels.origins))))
    return made if len({v.tensor for v in made.reads()}) <= MAX_TENSORS_READ else None


def _composed(view: View, space: Sequence[Dim], levels: Map) -> list[View] | None:
    """The operands of `levels` over `space`, where `view` reads what it stores; None where strides cannot."""
    output = levels.output
    if any((view.guards, view.indirect, output.guards, output.indirect)) or (view.offset, output.offset) != (
        0,
        0,
    ):
        return None
    # of each axis of the view: along which axis of the Map it walks, and by how many steps
    walks: list[tuple[int, Dim] | None] = []
    for size, stride in zip(space, view.strides, strict=True):
        still = size == 1 or stride == 0
        walks.append(None if still else _walk(size, stride, levels))
        if not still and walks[-1] is None:
            return None
    for axis, whole in enumerate(levels.sizes):
        found = [(n, w[1]) for n, w in zip(space, walks, strict=True) if w is not None and w[0] == axis]
        last = sum(((n - 1) * step for n, step in found), start=0)
        if found != [(whole, 1)] and not at_least(occupied(whole - 1), occupied(last)):
            return None
    return [
        replace(v, strides=tuple(0 if w is None else v.strides[w[0]] * w[1] for w in walks))
        for v in levels.inputs
    ]


def _walk(size: Dim, stride: Dim, levels: Map) -> tuple[int, Dim] | None:
    """The axis of a Map along which a view of what it stores walks, and its step there; None if not known."""
    axes = [*enumerate(zip(levels.sizes, levels.output.strides, strict=True))]
    for axis, along in axes:
        if along == (size, stride):
            return axis, 1
    # part of an axis that stands for several
    for axis, (whole, own) in sorted(axes, key=lambda a: -a[1][1] if isinstance(a[1][1], int) else 0):
        if own == 1 or (isinstance(own, int) and isinstance(stride, int) and own and stride % own == 0):
            step = stride if own == 1 else floordiv(stride, own)
            if at_least(occupied(whole - 1), occupied((size - 1) * step)):
                return axis, step
    return None
