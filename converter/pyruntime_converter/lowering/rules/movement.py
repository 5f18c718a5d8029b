"""Lowering of movement ops: strides where they can say it, a copy elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pyruntime_converter.lowering import views
from pyruntime_converter.lowering.lazy import Lazy, combine
from pyruntime_converter.lowering.lower import Lowering, lowers
from pyruntime_converter.lowering.places import place
from pyruntime_converter.lowering.rows import spread_over
from pyruntime_converter.lowering.space import grouped_order
from pyruntime_converter.lowering.states import lies, parts

from pyruntime.ir.dims import Dim, at_least, maximum, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Node, Shape
from pyruntime.ir.program import Boundary
from pyruntime.ir.scalar import Const, Index, Load, Scalar, Size, call
from pyruntime.ops.definition import Elementwise, definition
from pyruntime.ops.evaluate import evaluate

SMALL = 4096  # elements of a concatenation that a kernel of its own per operand is not worth
LISTED = 1 << 16  # indices of an axis that a pack holds; more are computed in each run


@lowers("Identity")
def identity(low: Lowering, node: Node) -> Lazy:
    """The value itself."""
    return low.lazy(node.input(0))


@lowers("Transpose")
def transpose(low: Lowering, node: Node) -> Lazy:
    """A permutation of strides."""
    return low.lazy(node.input(0)).transpose(node.attrs["perm"])


@lowers("Permute")
def permute(low: Lowering, node: Node) -> Lazy:
    """Each axis has the stride of the one that it is."""
    view, order = low.view(node.input(0)), node.attrs["order"]
    rank = len(view.strides)
    strides = tuple(
        sum(
            (o * s for o, s in zip(order[rank * axis : rank * (axis + 1)], view.strides, strict=True)),
            start=0,
        )
        for axis in range(rank)
    )
    return Lazy.of(replace(view, strides=strides), node.output.shape)


@lowers("Reshape")
def reshape(low: Lowering, node: Node) -> Lazy:
    """Other strides over the same memory, or a copy in an order that allows them; row-major if an output."""
    lazy, shape = low.lazy(node.input(0)), node.output.shape
    moved = lazy.reshape(shape)
    if moved is None and node.output not in low.graph.outputs:
        order = grouped_order(lazy.space, shape, lazy.leaves)
        moved = low.store(lazy, order=order, why=Boundary.LAYOUT).reshape(shape)
    return moved or low.reshaped(low.store(lazy, why=Boundary.LAYOUT), shape)


@lowers("Slice")
def slice_(low: Lowering, node: Node) -> Lazy:
    """Another offset and larger strides."""
    lazy = low.lazy(node.input(0))
    starts, steps = node.attrs["starts"], node.attrs["steps"]
    moved = lazy.slice(starts, node.output.shape, steps) or low.store(lazy, why=Boundary.LAYOUT).slice(
        starts, node.output.shape, steps
    )
    assert moved is not None
    return moved


def _joins(low: Lowering, node: Node) -> bool:
    """Whether the node's only reader is elementwise, and has all else in memory."""
    readers = low.uses.get(node.output, [])
    if len(readers) != 1 or not isinstance(definition(readers[0].op), Elementwise):
        return False
    return not any(low.waits(v) for v in readers[0].inputs if v is not None and v is not node.output)


@lowers("Expand")
def expand(low: Lowering, node: Node) -> Lazy:
    """Strides of zero; or all elements of the rows that a kernel reduces, where their reader can join it."""
    lazy = low.lazy(node.input(0))
    if _joins(low, node) and (spread := spread_over(lazy, node.output.shape)) is not None:
        return spread
    moved = lazy.expand(node.output.shape) or low.store(lazy, why=Boundary.LAYOUT).expand(node.output.shape)
    assert moved is not None
    return moved


@lowers("Tile")
def tile(low: Lowering, node: Node) -> Lazy:
    """Each axis in two, the outer one repeated by a stride of zero."""
    lazy = low.lazy(node.input(0))
    split: list[Dim] = []
    wide: list[Dim] = []
    for size, times in zip(lazy.shape, node.attrs["repeats"], strict=True):
        split += [1, size]
        wide += [times, size]
    apart = low.store(lazy, why=Boundary.LAYOUT).reshape(tuple(split))
    assert apart is not None
    repeated = apart.expand(tuple(wide))
    assert repeated is not None
    return repeated.reshape(node.output.shape) or low.reshaped(
        low.store(repeated, order=range(len(wide))), node.output.shape
    )


@lowers("Pad")
def pad(low: Lowering, node: Node) -> Lazy:
    """Constant padding is a guard on loads; the other modes read along mirrored or repeated indices."""
    before, after, mode = node.attrs["before"], node.attrs["after"], node.attrs["mode"]
    source = node.input(0)
    lazy = low.lazy(source)
    if mode == "constant":
        return padded(low, lazy, before, after, node.attrs["value"])
    result = low.store(lazy)
    for axis, (b, a) in enumerate(zip(before, after, strict=True)):
        if b == 0 and a == 0:
            continue
        view, count = result.view, node.output.shape[axis]
        assert view is not None
        indices = _outside(low, mode, result.shape[axis], b, a, count)
        shape = (*result.shape[:axis], count, *result.shape[axis + 1 :])
        result = low.store(low.gathered(view, result.shape, axis, indices, shape))
    return result


def padded(
    low: Lowering, lazy: Lazy, before: Sequence[Dim], after: Sequence[Dim], fill: float | int | bool
) -> Lazy:
    """lazy with `fill` around it, by guards on the loads of what is in memory; negative amounts crop."""
    shape = tuple(b + d + a for b, d, a in zip(before, lazy.shape, after, strict=True))
    if isinstance(lazy.tree, Load) and not lazy.host:
        leaf = lazy.leaves[lazy.tree.operand]
        view = None if leaf.indirect else views.pad(leaf, lazy.shape, before, after, fill)
        if view is not None:
            return Lazy.of(view, shape)
    stored = low.store(lazy).view
    assert stored is not None
    view = views.pad(stored, lazy.shape, before, after, fill)
    assert view is not None
    return Lazy.of(view, shape)


def _outside(low: Lowering, mode: str, size: Dim, before: Dim, after: Dim, count: Dim) -> Lazy:
    """For each of `count` padded positions the index that it repeats of an axis of `size`, in memory."""
    start, last = maximum(-before, 0), size - maximum(-after, 0) - 1  # the ends of what is kept
    sizes = (start, last, maximum(before, 0), maximum((last - start) * 2, 1))
    first, end, added, period = (Size(DType.I32, slot) for slot in range(len(sizes)))
    inside = call("sub", Index(DType.I32, 0), added)  # counted from the first one kept
    reach = call("sub", end, first)
    match mode:
        case "edge":
            place = call("min", call("max", inside, Const(DType.I32, 0)), reach)
        case "wrap":
            place = call("mod", inside, call("add", reach, Const(DType.I32, 1)))
        case _:  # reflect, to and fro where the axis is shorter than what is added
            forth = call("mod", inside, period)
            place = call("min", forth, call("sub", period, forth))
            place = call("min", place, reach)  # an axis of one element has no period
    tree = call("add", place, first)
    if all(isinstance(d, int) for d in (*sizes, count)) and at_least(LISTED, count):
        positions = np.arange(int(str(count)))
        return low.index_tensor(evaluate(tree, [], index=[positions], sizes=[int(str(d)) for d in sizes]))
    return low.store(Lazy((count,), tree, (), sizes))


def _chosen(operands: Sequence[Lazy], axis: int, shape: Shape) -> Lazy | None:
    """A small concatenation as a choice by index, so that it and those within it are one kernel at most.

    None where it is large, of unknown size, or has an operand whose kernel can store to its part itself.
    """
    if not all(isinstance(d, int) for d in shape) or not len(operands) > 1:
        return None
    if int(str(product(shape))) > SMALL or any(o.host for o in operands):
        return None
    start, ends, parts = 0, list[int](), list[Lazy]()
    for lazy in operands:
        part = lazy.placed(axis, start, shape[axis])
        if part is None:
            return None
        start += int(str(lazy.shape[axis]))
        ends.append(start)
        parts.append(part)

    def choose(trees: list[Scalar]) -> Scalar:
        index, result = Index(DType.I32, axis), trees[-1]
        for tree, end in zip(trees[-2::-1], ends[-2::-1], strict=True):
            result = call("select", call("lt", index, Const(DType.I32, end)), tree, result)
        return result

    return combine(parts, shape, choose)


@lowers("Concat")
def concat(low: Lowering, node: Node) -> Lazy:
    """One tensor; each operand is stored to its part of it, by its own kernel where it is still pending."""
    shape = node.output.shape
    operands = [low.lazy(v) for v in node.inputs if v is not None]
    whole = low.states.appended(node, operands)
    if whole is None:
        joined = None if node.output in low.places else _chosen(operands, node.attrs["axis"], shape)
        if joined is not None:
            return joined
        whole = place(low, node, max(operands, key=lambda o: o.host is not None))
    for lazy, part in zip(operands, parts(node, whole), strict=True):
        if not lies(lazy, part):
            low.store_into(lazy, part, Boundary.JOINED)
    return Lazy.of(whole, shape)
