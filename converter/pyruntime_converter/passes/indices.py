"""Integer tensors that are affine in their own indices: what exporters compute masks of positions from.

A decoder without a mask still compares positions with each other, gathered, shifted and summed from ranges.
Each of these tensors is `offset + sum of steps[axis] * index[axis]`, and what is the same everywhere folds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pyruntime.ir.dims import Dim, at_least
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Graph, Node, Shape, Value
from pyruntime.ops.builder import Builder
from pyruntime_converter.passes.patterns import made_by
from pyruntime_converter.passes.rewriter import rewrite

_DEPTH = 24
_LARGEST = 1 << 16  # elements of a constant that are looked at


@dataclass(frozen=True)
class Affine:
    """The elements of an integer or bool tensor; the step of an axis of size 1 is 0."""

    offset: Dim
    steps: tuple[Dim, ...]

    @property
    def constant(self) -> Dim | None:
        """The element that is everywhere, if it is one."""
        return None if any(s != 0 for s in self.steps) else self.offset

    def over(self, rank: int) -> Affine:
        """The same with axes of size 1 in front."""
        return Affine(self.offset, (*(0 for _ in range(rank - len(self.steps))), *self.steps))

    def plus(self, other: Affine, factor: int) -> Affine:
        """The sum with a multiple of another, broadcast."""
        rank = max(len(self.steps), len(other.steps))
        steps = (a + b * factor for a, b in zip(self.over(rank).steps, other.over(rank).steps, strict=True))
        return Affine(self.offset + other.offset * factor, tuple(steps))


Known = dict[Value, Affine | None]


def affine(value: Value, known: Known | None = None, depth: int = _DEPTH) -> Affine | None:
    """value as an affine function of its indices; None where it is none, or not seen to be one.

    `known` holds what was found of other values, and `depth` says how far up to look.
    """
    known = {} if known is None else known
    if value not in known:
        known[value] = _affine(value, known, depth) if depth and not value.dtype.is_float else None
    return known[value]


def _affine(value: Value, known: Known, depth: int) -> Affine | None:
    if value.data is not None:
        return _of_constant(value)
    node = value.producer
    if node is None:
        return None
    if node.op in ("Range", "DimTensor"):
        return _of_range(node)
    if node.op == "Concat":
        return _of_concat(node, known, depth)
    if node.op == "GatherND":
        return _of_gather(node, known, depth)
    inputs = [affine(v, known, depth - 1) for v in node.inputs if v is not None]
    if any(x is None for x in inputs) or not inputs:
        return None
    x, *rest = [x for x in inputs if x is not None]
    rank = value.rank
    match node.op:
        case "Identity":
            return x
        case "Cast" if value.dtype in (DType.I32, DType.I64) or (x.constant in (0, 1)):
            return x
        case "Not":
            return Affine(1 - x.offset, x.steps) if x.constant in (0, 1) else None
        case "Add" | "Sub":
            return x.plus(rest[0], 1 if node.op == "Add" else -1).over(rank)
        case "Expand":
            source = node.input(0).shape
            lead = rank - len(source)
            kept = (s if a == b else 0 for s, a, b in zip(x.steps, source, value.shape[lead:], strict=True))
            return Affine(x.offset, tuple(kept)).over(rank)
        case "Reshape":
            return _of_reshape(x, node.input(0).shape, value.shape)
        case "Slice":
            offset = sum((a * s for a, s in zip(node.attrs["starts"], x.steps, strict=True)), x.offset)
            steps = zip(x.steps, node.attrs["steps"], value.shape, strict=True)
            return Affine(offset, tuple(0 if n == 1 else s * step for s, step, n in steps))
        case "CumSum" if x.constant == 0:
            return x
    return None


def _of_constant(value: Value) -> Affine | None:
    if value.dtype is DType.BOOL and value.data is not None and value.data.size:
        first = bool(value.data.flat[0])
        return Affine(int(first), (0,) * value.rank) if bool((value.data == first).all()) else None
    data = value.data
    if data is None or not value.dtype.is_integer or not 0 < data.size <= _LARGEST:
        return None
    offset = int(data.flat[0])
    steps = tuple(int(data.take(1, a).flat[0]) - offset if n > 1 else 0 for a, n in enumerate(data.shape))
    expected = np.full(data.shape, offset, dtype=object)
    for axis, (size, step) in enumerate(zip(data.shape, steps, strict=True)):
        along = [size if a == axis else 1 for a in range(data.ndim)]
        expected = expected + (np.arange(size, dtype=object) * step).reshape(along)
    same = expected == data
    return Affine(offset, steps) if bool(np.all(same)) else None


def _of_range(node: Node) -> Affine | None:
    attrs = node.attrs
    if node.op == "DimTensor":
        same = len(set(attrs["dims"])) == 1
        return Affine(attrs["dims"][0], (0,) * node.output.rank) if same else None
    return Affine(attrs["start"], (0 if attrs["size"] == 1 else attrs["step"],))


def _of_reshape(x: Affine, old: Shape, new: Shape) -> Affine | None:
    """Axes of size 1 come and go."""
    wide = [(d, s) for d, s in zip(old, x.steps, strict=True) if d != 1]
    if [d for d, _ in wide] != [d for d in new if d != 1]:
        return _constant(x, len(new))
    steps = iter(s for _, s in wide)
    return Affine(x.offset, tuple(0 if d == 1 else next(steps) for d in new))


def _constant(x: Affine, rank: int) -> Affine | None:
    return None if x.constant is None else Affine(x.offset, (0,) * rank)


def _of_concat(node: Node, known: Known, depth: int) -> Affine | None:
    """Pieces of one affine function; a piece of size 1 has any step along the axis."""
    axis, found = node.attrs["axis"], list[tuple[Dim, Dim, Affine]]()
    begin: Dim = 0
    for operand in node.inputs:
        assert operand is not None
        piece = affine(operand, known, depth - 1)
        if piece is None:
            return None
        found.append((begin, operand.shape[axis], piece))
        begin = begin + operand.shape[axis]
    steps = {p.steps[axis] for _, size, p in found if size != 1}
    if len(steps) != 1:
        return None
    (step,) = steps
    whole = {
        Affine(p.offset - b * step, tuple(step if a == axis else s for a, s in enumerate(p.steps)))
        for b, _, p in found
    }
    return whole.pop() if len(whole) == 1 else None


def _of_gather(node: Node, known: Known, depth: int) -> Affine | None:
    """data at tuples whose elements are affine themselves and certainly within it."""
    data, tuples = affine(node.input(0), known, depth - 1), made_by(node.input(1), "Concat")
    if data is None or node.attrs["batch_dims"] or tuples is None:
        return None
    parts = [v for v in tuples.inputs if v is not None]
    shape, rank = node.input(0).shape, node.output.rank
    if tuples.attrs["axis"] != tuples.output.rank - 1 or len(parts) != len(shape):
        return None
    total = Affine(data.offset, (0,) * rank)
    for part, size, step in zip(parts, shape, data.steps, strict=True):
        at = affine(part, known, depth - 1) if part.shape[-1] == 1 else None
        if at is None or not _within(at, part.shape, size):
            return None
        scaled = Affine(at.offset * step, tuple(s * step for s in at.steps[:-1]))
        total = total.plus(scaled, 1)
    return total


def _within(index: Affine, shape: Shape, size: Dim) -> bool:
    """Whether indices are certain to be in [0, size)."""
    last = sum((s * (n - 1) for s, n in zip(index.steps, shape, strict=True)), index.offset)
    rising = all(at_least(s, 0) for s in index.steps)
    return rising and at_least(index.offset, 0) and at_least(size, last + 1)


def fold_indices(graph: Graph) -> None:
    """Comparisons of positions that are the same everywhere become constants, gathered positions ranges."""

    def rule(node: Node, builder: Builder) -> Value | None:
        if node.op in ("Equal", "And"):
            return _folded(node, builder)
        found = affine(node.output) if node.op in ("GatherND", "CumSum") else None
        return None if found is None else _written(found, node.output, builder)

    rewrite(graph, rule)


def _folded(node: Node, builder: Builder) -> Value | None:
    a, b = (affine(node.input(i)) for i in range(2))
    if node.op == "And":
        for known, other in ((a, node.input(1)), (b, node.input(0))):
            if known is not None and known.constant == 1 and other.shape == node.output.shape:
                return other
        return None
    difference = None if a is None or b is None else a.plus(b, -1).constant
    if not isinstance(difference, int):
        return None
    return builder.one("Expand", builder.constant(np.asarray(difference == 0)), shape=node.output.shape)


def _written(found: Affine, value: Value, builder: Builder) -> Value | None:
    """value anew from ranges."""
    if value.dtype not in (DType.I32, DType.I64):
        return None
    total = builder.dims(found.offset, value.dtype)
    for axis, step in enumerate(found.steps):
        if step == 0:
            continue
        row = builder.one("Range", step=step, size=value.shape[axis], dtype=value.dtype)
        shape = tuple(value.shape[axis] if a == axis else 1 for a in range(axis, value.rank))
        total = builder.one("Add", builder.one("Reshape", row, shape=shape), total)
    return builder.one("Expand", total, shape=value.shape) if total.shape != value.shape else total


def causal_past(seen: Value, rank: int) -> Dim | None:
    """past, not negative, where seen [..., m, n] says that key j is no later than query i + past."""
    node = made_by(seen, "LessOrEqual", "GreaterOrEqual")
    if node is None or seen.rank > rank or seen.rank < 2:
        return None
    keys, queries = (affine(node.input(i)) for i in ((0, 1) if node.op == "LessOrEqual" else (1, 0)))
    if keys is None or queries is None:
        return None
    difference = queries.plus(keys, -1).over(seen.rank)
    if difference.steps[-2:] != (1, -1) or any(s != 0 for s in difference.steps[:-2]):
        return None
    return difference.offset if at_least(difference.offset, 0) else None
