"""Norms over any axes: those that are not the last ones are moved there and back, which costs no kernel."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from pyruntime.ir.dims import Dim
from pyruntime.ir.graph import Shape, Value
from pyruntime.ops.builder import Builder
from pyruntime_converter.lowering.views import factor
from pyruntime_converter.passes.patterns import made_by


def trailing(axes: Sequence[int], rank: int) -> int | None:
    """The first of axes that are the last ones."""
    return min(axes) if axes and sorted(axes) == list(range(min(axes), rank)) else None


def over_axes(builder: Builder, op: str, x: Value, axes: Sequence[int], epsilon: float) -> Value:
    """x of `axes` normalised by `op`, with a scale of ones and no bias.

    What a Reshape before merges of the other axes is merged after the norm instead: a kernel of rows can then
    read what the Reshape takes, where that is no plain memory, but looked up for instance.
    """
    one = builder.constant(np.ones((), x.dtype.value))
    parameters = (one, None) if op == "LayerNormalization" else (one,)
    axis = trailing(axes, x.rank)
    if axis is not None:
        return builder.one(op, x, *parameters, axis=axis, epsilon=epsilon)
    whole, axes = _unmerged(builder, x, axes)
    others = [a for a in range(whole.rank) if a not in axes]
    perm = [*others, *sorted(axes)]
    moved = builder.one("Transpose", whole, perm=perm)
    normal = builder.one(op, moved, *parameters, axis=len(others), epsilon=epsilon)
    back = builder.one("Transpose", normal, perm=[perm.index(a) for a in range(whole.rank)])
    return builder.one("Reshape", back, shape=x.shape)


def _unmerged(builder: Builder, x: Value, axes: Sequence[int]) -> tuple[Value, Sequence[int]]:
    """x before a Reshape merged axes, with axes split as it splits them, and where `axes` are there."""
    reshape = made_by(x, "Reshape")
    finer = None if reshape is None else refined(reshape.input(0).shape, x.shape)
    if reshape is None or finer is None or any(len(finer[a]) != 1 for a in axes):
        return x, axes
    sizes = [size for group in finer for size in group]
    first = [sum(map(len, finer[:a])) for a in range(x.rank)]
    return builder.one("Reshape", reshape.input(0), shape=tuple(sizes)), [first[a] for a in axes]


def refined(before: Shape, after: Shape) -> list[tuple[Dim, ...]] | None:
    """The axes that each of `after` is merged from, where `before` is split into them and all are in order.

    None where there are no such: sizes that do not divide each other, or are not known.
    """
    found: list[tuple[Dim, ...]] = [(size,) for size in after]
    groups = factor(before, after)
    for left, right in groups or []:
        if len(left) < 2:
            continue
        old, new = _places([before[i] for i in left]), _places([after[i] for i in right])
        places = sorted({*old, *new}, reverse=True)
        if not old or not new or any(outer % inner for outer, inner in itertools.pairwise(places)):
            return None
        for axis, (outer, inner) in zip(right, itertools.pairwise(new), strict=True):
            inside = [p for p in places if inner <= p <= outer]
            found[axis] = tuple(a // b for a, b in itertools.pairwise(inside))
    return None if groups is None else found


def _places(sizes: Sequence[Dim]) -> list[int]:
    """How many elements lie from each axis on to the last, and 1; none where a size is not known."""
    known = [s for s in sizes if isinstance(s, int)]
    return [math.prod(known[i:]) for i in range(len(known) + 1)] if len(known) == len(sizes) else []
