"""Det: elimination with pivots, a row at a time."""

from __future__ import annotations

from collections.abc import Sequence

from pyruntime.ir.conditions import equal
from pyruntime.ir.dims import Dim, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import slice_axis
from pyruntime_converter.frontends.onnx.loops import repeated


@handles("Det")
def det(ctx: NodeContext) -> Value:
    """Determinants of square matrices in the last two axes."""
    x = ctx.input()
    if x.rank < 2:
        ctx.invalid(f"rank {x.rank}, less than 2")
    *batch, rows, columns = x.shape
    square = equal(rows, columns)
    if square == 0:
        ctx.invalid(f"matrices of {rows} x {columns}")
    if square != 1:
        ctx.require(square, f"its matrices have {rows} rows and {columns} columns")
    count = product(batch)
    if rows == 0:
        return ctx.one("Expand", ctx.like(1, x), shape=tuple(batch))
    left = ctx.reshape(ctx.cast(x, DType.F32) if x.dtype is not DType.F64 else x, (count, rows, rows))
    found = _small(ctx, left) if rows in (1, 2) else _eliminated(ctx, left, rows)
    return ctx.cast(ctx.reshape(found, batch), x.dtype)


def _small(ctx: NodeContext, x: Value) -> Value:
    """Determinants of matrices of one or two rows, [batch, 1, 1]."""
    if x.shape[1] == 1:
        return x
    (a, b), (c, d) = ([slice_axis(ctx, slice_axis(ctx, x, 1, i, 1), 2, j, 1) for j in (0, 1)] for i in (0, 1))
    return ctx.one("Sub", ctx.one("Mul", a, d), ctx.one("Mul", b, c))


def _eliminated(ctx: NodeContext, x: Value, rows: Dim) -> Value:
    """The product of the pivots, [batch, 1, 1].

    Step k takes for a pivot the largest element of column k from row k on: its row and row k trade places,
    which turns the sign, and multiples of it leave zeros below. The rows above are of no more use.
    """

    def step(inner: NodeContext, number: Value, carried: Sequence[Value], _: Sequence[Value]) -> list[Value]:
        left, found = carried
        (k,) = inner.contents(number) or ()
        numbers = inner.reshape(inner.one("Range", size=rows, dtype=number.dtype), (1, rows, 1))
        open_ = inner.one("GreaterOrEqual", numbers, number)
        sizes = inner.one(
            "Where", open_, inner.one("Abs", slice_axis(inner, left, 2, k, 1)), inner.like(-1, left)
        )
        place = inner.cast(inner.one("ArgMax", sizes, axis=1), number.dtype)
        chosen = inner.one("Equal", numbers, place)
        row = inner.one("Where", chosen, left, inner.like(0, left))
        row = inner.one("ReduceSum", row, axes=(1,), keepdims=True)
        others = inner.one("Where", chosen, slice_axis(inner, left, 1, k, 1), left)
        pivot = slice_axis(inner, row, 2, k, 1)
        nothing = inner.one("Equal", pivot, inner.like(0, pivot))
        share = inner.one("Div", slice_axis(inner, others, 2, k, 1), pivot)
        share = inner.one("Where", nothing, inner.like(0, share), share)
        factor = inner.one("Where", inner.one("Equal", place, number), pivot, inner.one("Neg", pivot))
        left = inner.one("Sub", others, inner.one("Mul", share, row))
        return [left, inner.one("Mul", found, factor)]

    ones = ctx.one("Expand", ctx.like(1, x), shape=(x.shape[0], 1, 1))
    times = ctx.builder.dims(rows, DType.I32)
    return repeated(ctx, times, [x, ones], [], step)[1]
