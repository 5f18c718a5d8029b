"""Operators that sort."""

from __future__ import annotations

from pyruntime.ir.conditions import less
from pyruntime.ir.dims import Dim, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx import text
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import slice_axis
from pyruntime_converter.frontends.onnx.handlers.selection import running_count, true_positions
from pyruntime_converter.frontends.onnx.held import Held, Text


@handles("TopK")
def top_k(ctx: NodeContext) -> list[Value]:
    """The greatest or least elements along an axis, and where they stand."""
    x = ctx.input()
    axis, largest = ctx.axis(ctx.attr("axis"), x.rank), ctx.attr("largest")
    ctx.attr("sorted")  # in order is one of the orders that an unsorted result may have
    size = x.shape[axis]
    count: Dim = ctx.required("k") if ctx.opset < 10 else _count(ctx, size)
    last = [a for a in range(x.rank) if a != axis]
    turned = ctx.one("Transpose", x, perm=(*last, axis))
    rows = ctx.reshape(turned, (product(turned.shape[:-1]), size, 1))
    found = ctx.one("ArgSort", rows, count=count, descending=largest is None or bool(largest))
    back = ctx.reshape(found, (*turned.shape[:-1], count))
    at = ctx.one("Transpose", back, perm=(*range(axis), x.rank - 1, *range(axis, x.rank - 1)))
    return [ctx.one("GatherElements", x, at, axis=axis), ctx.cast(at, DType.I64)]


def _count(ctx: NodeContext, size: Dim) -> Dim:
    """How many elements are wanted."""
    k = ctx.input(1)
    if ctx.contents(k) is None:
        return ctx.measure(k, size)
    counts = ctx.known_sizes(k, "how many elements it gives")
    if len(counts) != 1:
        ctx.invalid(f"{len(counts)} numbers of elements")
    if isinstance(counts[0], int) and isinstance(size, int):
        return counts[0]
    ctx.require(1 - less(size, counts[0]), f"it gives {counts[0]} of {size} elements")
    return counts[0]


@handles("Unique")
def unique(ctx: NodeContext) -> list[Held]:
    """Unlike elements, or slices along an axis: where each is first, which one stands where, and how often.

    Sorted, equal ones stand side by side; the first of each is where its neighbour before it differs.
    Strings are compared by their bytes.
    """
    strings, stated, by_value = ctx.text(), ctx.attr("axis"), bool(ctx.attr("sorted"))
    x = ctx.input() if strings is None else strings.rows
    axis = None if stated is None else ctx.axis(stated, x.rank)
    rest = [] if axis is None else [a for a in range(x.rank) if a != axis]
    sizes = tuple(x.shape[a] for a in rest)
    turned = x if axis is None else ctx.one("Transpose", x, perm=(axis, *rest))
    size, width = (x.elements, 1) if axis is None else (x.shape[axis], product(sizes))
    items = ctx.reshape(turned, (size, width))

    keys = items
    if strings is not None:
        letters = text.ascending(ctx.builder, Text(items, strings.table))
        keys = ctx.reshape(letters, (size, product(letters.shape[1:])))
    order = _sorted(ctx, keys)
    ordered = ctx.one("Gather", items, order, axis=0)
    first = _first(ctx, ordered if strings is None else ctx.one("Gather", keys, order, axis=0))
    starts = true_positions(ctx, first)
    (count,) = starts.shape
    flags = ctx.cast(first, DType.I32)
    before, _ = running_count(ctx, flags, size)
    group = ctx.one("Sub", ctx.one("Add", before, flags), ctx.like(1, flags))
    ends = ctx.one("Concat", starts, ctx.reshape(ctx.builder.dims(size, DType.I32), (1,)), axis=0)

    found = ctx.one("Gather", ordered, starts, axis=0)
    where = ctx.one("Gather", order, starts, axis=0)
    which = ctx.one("Gather", group, ctx.one("Positions", order, count=size), axis=0)
    often = ctx.one("Sub", slice_axis(ctx, ends, 0, 1, count), starts)
    if not by_value:
        turn = _sorted(ctx, ctx.reshape(where, (count, 1)))
        found, where, often = (ctx.one("Gather", v, turn, axis=0) for v in (found, where, often))
        which = ctx.one("Gather", ctx.one("Positions", turn, count=count), which, axis=0)
    if axis is None:
        found = ctx.reshape(found, (count,))
    else:
        back = ctx.reshape(found, (count, *sizes))
        found = ctx.one("Transpose", back, perm=(*range(1, axis + 1), 0, *range(axis + 1, x.rank)))
    unlike = found if strings is None else Text(found, strings.table)
    return [unlike, *(ctx.cast(v, DType.I64) for v in (where, which, often))]


def _sorted(ctx: NodeContext, items: Value) -> Value:
    """The numbers of rows of a matrix in ascending order."""
    order = ctx.one("ArgSort", ctx.reshape(items, (1, *items.shape)), count=items.shape[0])
    return ctx.reshape(order, items.shape[:1])


def _first(ctx: NodeContext, items: Value) -> Value:
    """Which rows of a matrix differ from the one before; a NaN is like another."""
    number = ctx.one("Range", size=items.shape[0], dtype=DType.I32)
    zero = ctx.like(0, number)
    before = ctx.one("Max", ctx.one("Sub", number, ctx.like(1, number)), zero)
    other = ctx.one("Gather", items, before, axis=0)
    same = ctx.one("Equal", items, other)
    if items.dtype.is_float:
        both = ctx.one("And", ctx.one("IsNaN", items), ctx.one("IsNaN", other))
        same = ctx.one("Or", same, both)
    least = ctx.one("ReduceMin", ctx.cast(same, DType.I32), axes=(1,), keepdims=False)
    return ctx.one("Or", ctx.one("Equal", least, zero), ctx.one("Equal", number, zero))
