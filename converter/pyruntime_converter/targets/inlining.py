"""Masks that attention computes where it reads them: one dispatch less, for a few operations for each score.

For WebGPU alone. On Wasm a Map is no dispatch, and scores with 64-bit integers in them have no vector form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pyruntime.ir.dims import Dim
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Attention, Map
from pyruntime.ir.program import Program, Step
from pyruntime.ir.scalar import Index, Load, Scalar, cost, transform, walk
from pyruntime.ir.views import View
from pyruntime_converter.lowering.lazy import MAX_TENSORS_READ, Lazy, Pool
from pyruntime_converter.targets.edits import without, written_once

MOST_COST = 4  # a score takes some hundred operations for its products: so many more do not show


def inline_masks(program: Program) -> Program:
    """The program without cheap Maps that only scores of attention read: these compute the elements.

    `program` stays as it is; the result shares its tensors. Programs that set symbols of their own, on which
    a mask may hang, are left alone.
    """
    if program.own_symbols:
        return program
    changed: dict[str, Step] = {}  # by the call's name
    gone: set[str] = set()
    for call in program.calls:
        if not isinstance(call, Map) or not _recomputable(program, call):
            continue
        readers = [c for c in program.calls if any(v.tensor is call.output.tensor for v in c.reads())]
        made = [_absorbed(changed.get(r.name, r), call) for r in readers]
        if made and all(made):
            gone.add(call.name)
            changed |= {m.name: m for m in made if m is not None}
    return without(program, gone, changed)


def _recomputable(program: Program, call: Map) -> bool:
    """Whether a cheap Map of what stays the same in a run is all that ever writes a temporary."""
    writers = [c.output.tensor for c in program.calls]

    def lasts(view: View) -> bool:
        plain = not view.guards and not view.indirect
        return plain and view.tensor.kind in ("input", "weight") and view.tensor not in writers

    return (
        written_once(program, program.calls, call.output.tensor)
        and cost(call.body) <= MOST_COST
        and not any(isinstance(n, Index) or n.dtype is DType.F64 for n in walk(call.body))
        and all(lasts(v) for v in call.inputs)
    )


def _absorbed(reader: Step, mask: Map) -> Attention | None:
    """`reader` with a score that computes the elements of `mask`; None where it cannot."""
    tensor = mask.output.tensor
    if not isinstance(reader, Attention) or any(v.tensor is tensor for v in (reader.q, reader.k, reader.v)):
        return None
    indices = {i.operand for v in reader.inputs for i in v.indirect}
    if any(reader.inputs[i].tensor is tensor for i in indices):
        return None
    space = (*reader.batch, reader.m, reader.n)
    pool = Pool()
    score = pool.add(Lazy(space, reader.score, reader.inputs, reader.size_values))
    trees: dict[int, Scalar] = {}
    for operand, view in enumerate([*pool.leaves]):
        if view.tensor is tensor:
            leaves = _composed(view, space, mask)
            if leaves is None:
                return None
            trees[operand] = pool.add(Lazy(space, mask.body, leaves, mask.size_values))
    score = transform(score, lambda n: trees.get(n.operand, n) if isinstance(n, Load) else n)
    kept = Pool()  # without what the score does not load any more
    score = kept.add(Lazy(space, score, tuple(pool.leaves), tuple(pool.sizes)))
    made = replace(reader, inputs=tuple(kept.leaves), size_values=tuple(kept.sizes), score=score)
    return made if len({v.tensor for v in made.reads()}) <= MAX_TENSORS_READ else None


def _composed(view: View, space: Sequence[Dim], mask: Map) -> tuple[View, ...] | None:
    """The operands of `mask` over `space`, where `view` reads what it stores; None where strides cannot."""
    if view.guards or view.indirect or mask.output.offset != 0:
        return None
    if mask.output.strides == (1,):
        return tuple(_scaled(v, view) for v in mask.inputs)
    axes: list[int | None] = []
    for size, stride in zip(space, view.strides, strict=True):
        walked = [a for a, s in enumerate(mask.output.strides) if (s, mask.sizes[a]) == (stride, size)]
        if stride == 0 or size == 1:
            axes.append(None)
        elif len(walked) == 1 and walked[0] not in axes:
            axes.append(walked[0])
        else:
            return None
    if view.offset != 0:
        return None
    return tuple(
        replace(v, strides=tuple(0 if a is None else v.strides[a] for a in axes)) for v in mask.inputs
    )


def _scaled(operand: View, view: View) -> View:
    """An operand of one axis where `view` walks along that axis."""
    (step,) = operand.strides
    offset = operand.offset + step * view.offset
    return replace(operand, offset=offset, strides=tuple(step * s for s in view.strides))
