"""Operators that sort."""

from __future__ import annotations

from pyruntime.ir.conditions import less
from pyruntime.ir.dims import Dim, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import NodeContext, handles


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
