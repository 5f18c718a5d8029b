"""Operators that pick elements by index or by a condition."""

from __future__ import annotations

import numpy as np

from pyruntime.ir.conditions import less
from pyruntime.ir.dims import Dim, at_least, floordiv, maximum
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ops.builder import dims_of
from pyruntime.ops.scatter import REDUCTIONS
from pyruntime_converter.frontends.onnx.context import LARGEST_CONSTANT, NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import slice_axis

_LONGEST = 2**30  # elements of an axis, at most


@handles("Gather")
def gather(ctx: NodeContext) -> Value:
    """Whole slices by index; one fixed index is a Slice, which moves nothing."""
    x, indices = ctx.input(0), ctx.input(1)
    axis = ctx.axis(ctx.attr("axis"), x.rank)
    known = dims_of(indices) if dims_of(x) is None and indices.elements == 1 else None
    if known is None or not isinstance(known[0], int):
        return ctx.one("Gather", x, indices, axis=axis)
    size = x.shape[axis]
    if isinstance(size, int) and not -size <= known[0] < size:
        ctx.invalid(f"index {known[0]} is outside axis {axis} of size {size}")
    start = known[0] + size if known[0] < 0 else known[0]
    picked = slice_axis(ctx, x, axis, start, 1)
    return ctx.reshape(picked, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


@handles("GatherElements")
def gather_elements(ctx: NodeContext) -> Value:
    """Single elements by index along one axis."""
    x = ctx.input(0)
    return ctx.one("GatherElements", x, ctx.input(1), axis=ctx.axis(ctx.attr("axis"), x.rank))


@handles("ReverseSequence")
def reverse_sequence(ctx: NodeContext) -> Value:
    """The first elements of each row in reverse, up to the row's length."""
    x = ctx.input(0)
    axes = {n: ctx.axis(ctx.attr(n), x.rank) for n in ("time_axis", "batch_axis")}
    return ctx.one("ReverseSequence", x, ctx.input(1), **axes)


@handles("GatherND")
def gather_nd(ctx: NodeContext) -> Value:
    """Slices at tuples of indices."""
    return ctx.one("GatherND", ctx.input(0), ctx.input(1), batch_dims=ctx.attr("batch_dims") or 0)


@handles("Scatter", "ScatterElements")
def scatter_elements(ctx: NodeContext) -> Value:
    """Single elements written by index along one axis."""
    x = ctx.input(0)
    axis, reduction = ctx.axis(ctx.attr("axis"), x.rank), _reduction(ctx)
    return ctx.one("ScatterElements", x, ctx.input(1), ctx.input(2), axis=axis, reduction=reduction)


@handles("ScatterND")
def scatter_nd(ctx: NodeContext) -> Value:
    """Slices written at tuples of indices, which are unlike where they are those of a mask."""
    x, at, updates = ctx.input(0), ctx.input(1), ctx.input(2)
    made = at.producer
    of_mask = made is not None and made.op == "Transpose" and made.input(0) in ctx.indices
    return ctx.one("ScatterND", x, at, updates, reduction=_reduction(ctx), distinct=of_mask)


def _reduction(ctx: NodeContext) -> str:
    return ctx.choice("reduction", *REDUCTIONS)


@handles("TensorScatter")
def tensor_scatter(ctx: NodeContext) -> Value:
    """A part of a cache overwritten from an index on, of which each element of the batch has its own."""
    cache, update, first = ctx.input(0), ctx.input(1), ctx.optional(2)
    axis, circular = (
        ctx.axis(ctx.attr("axis"), cache.rank),
        ctx.choice("mode", "linear", "circular") != "linear",
    )
    if not axis:
        ctx.invalid("axis 0 is that of the batch")
    along = [1] * cache.rank
    steps = ctx.one("Range", start=0, step=1, size=update.shape[axis], dtype=DType.I32)
    at = ctx.reshape(steps, [update.shape[axis] if a == axis else 1 for a in range(cache.rank)])
    if first is not None:
        begin = ctx.reshape(ctx.cast(first, DType.I32), [first.elements, *along[1:]])
        at = ctx.one("Add", at, begin)
    if circular:
        at = ctx.one("Mod", at, ctx.builder.dims(cache.shape[axis], DType.I32))
    at = ctx.one("Expand", at, shape=update.shape)
    return ctx.one("ScatterElements", cache, at, update, axis=axis, distinct=True)


@handles("OneHot")
def one_hot(ctx: NodeContext) -> Value:
    """A new axis of `depth` that is on where the index says."""
    indices, values = ctx.input(0), ctx.input(2)
    depth = ctx.input(1)
    if depth.elements != 1:
        ctx.invalid(f"a depth of {depth.elements} elements")
    if depth.data is not None and depth.dtype.is_float:
        depth = ctx.cast(depth, DType.I64)
    size = _truncated(ctx, depth) if depth.dtype.is_float else ctx.known_sizes(depth, "its depth")[0]
    if not indices.dtype.is_integer:  # ONNX allows floats, which hold whole numbers
        indices = ctx.cast(indices, DType.I64)
    axis = ctx.axis(ctx.attr("axis"), indices.rank + 1)
    return ctx.one("OneHot", indices, values, axis=axis, depth=size)


def _truncated(ctx: NodeContext, value: Value) -> Dim:
    """A float depth without its fraction."""
    ((above, below),) = ctx.ratios(value, "its depth")
    size = floordiv(maximum(above, 0), below)
    ctx.require(less(-below, above) * less(size, 2**31), "its depth must be from 0 on, and less than 2^31")
    return size


@handles("Trilu")
def trilu(ctx: NodeContext) -> Value:
    """The upper or lower triangle of matrices; zero elsewhere."""
    x, k, upper = ctx.input(0), ctx.optional(1), bool(ctx.attr("upper"))
    if x.rank < 2:
        ctx.invalid(f"rank {x.rank}")
    height, width = x.shape[-2:]
    known = (k is None or k.data is not None) and at_least(LARGEST_CONSTANT, height * width)
    if isinstance(height, int) and isinstance(width, int) and known:
        diagonal = 0 if k is None else int(ctx.scalar(k, "which diagonal it takes"))
        offsets = np.arange(width)[None, :] - np.arange(height)[:, None]
        kept = ctx.builder.constant(offsets >= diagonal if upper else offsets <= diagonal)
    else:
        kept = _triangle(ctx, height, width, ctx.builder.constant(0, DType.I64) if k is None else k, upper)
    return ctx.one("Where", kept, x, ctx.like(0, x))


def _triangle(ctx: NodeContext, height: Dim, width: Dim, k: Value, upper: bool) -> Value:
    """Which elements of a matrix lie above, or below, a diagonal that only the run may know."""
    diagonal = ctx.reshape(k, ())  # those farther out are all alike
    for op, farthest in (("Max", -_LONGEST), ("Min", _LONGEST)):
        diagonal = ctx.one(op, diagonal, ctx.like(farthest, diagonal))
    rows, columns = (ctx.one("Range", size=size, dtype=DType.I32) for size in (height, width))
    number = ctx.one("Sub", columns, ctx.reshape(rows, (height, 1)))
    compare = "GreaterOrEqual" if upper else "LessOrEqual"
    return ctx.one(compare, number, ctx.cast(diagonal, DType.I32))
