"""Masks that attention computes where it reads them: one dispatch less, for a few operations for each score.

For WebGPU alone. On Wasm a Map is no dispatch, and scores with 64-bit integers in them have no vector form.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace

from pyruntime.ir.kernel import Attention, KernelCall, Map, Row
from pyruntime.ir.program import Program
from pyruntime.ir.scalar import Index, Load, Scalar, cost, transform, walk
from pyruntime.ir.views import Tensor, View
from pyruntime_converter.lowering.lazy import MAX_TENSORS_READ, Lazy, Pool
from pyruntime_converter.targets.composing import composed
from pyruntime_converter.targets.edits import Absorbed, absorb, in_float64

MOST_COST = 4  # a score takes some hundred operations for its products: so many more do not show


def inline_masks(program: Program) -> Program:
    """The program without cheap Maps that only scores of attention read: these compute the elements.

    What stays as it is, and what is shared, as for `absorb`.
    """
    writers = {c.output.tensor for c in program.calls}

    def take(call: Map | Row, readers: Sequence[KernelCall]) -> Absorbed | None:
        if not isinstance(call, Map) or not _recomputable(call, writers):
            return None
        return Absorbed([_absorbed(r, call) for r in readers])

    return absorb(program, take)


def _recomputable(call: Map, writers: Container[Tensor]) -> bool:
    """Whether a cheap Map computes of what stays the same in a run."""

    def lasts(view: View) -> bool:
        plain = not view.guards and not view.indirect
        return plain and view.tensor.kind in ("input", "weight") and view.tensor not in writers

    return (
        cost(call.body) <= MOST_COST
        and not any(isinstance(n, Index) for n in walk(call.body))
        and not in_float64(call)
        and all(lasts(v) for v in call.inputs)
    )


def _absorbed(reader: KernelCall, mask: Map) -> Attention | None:
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
            leaves = composed(view, space, mask)
            if leaves is None:
                return None
            trees[operand] = pool.add(Lazy(space, mask.body, tuple(leaves), mask.size_values))
    score = transform(score, lambda n: trees.get(n.operand, n) if isinstance(n, Load) else n)
    kept = Pool()  # without what the score does not load any more
    score = kept.add(Lazy(space, score, tuple(pool.leaves), tuple(pool.sizes)))
    made = replace(reader, inputs=tuple(kept.leaves), size_values=tuple(kept.sizes), score=score)
    return made if len({v.tensor for v in made.reads()}) <= MAX_TENSORS_READ else None
