"""Det: elimination with pivots, unrolled for matrices of a known size."""

from __future__ import annotations

from pyruntime.ir.dims import product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import FIX_DIMS, NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import slice_axis

MOST_ROWS = 32  # of a matrix: each row is a handful of kernels


@handles("Det")
def det(ctx: NodeContext) -> Value:
    """Determinants of square matrices in the last two axes."""
    x = ctx.input()
    if x.rank < 2:
        ctx.invalid(f"rank {x.rank}, less than 2")
    *batch, rows, columns = x.shape
    if not isinstance(rows, int) or not isinstance(columns, int):
        ctx.fail(f"its matrices are {rows} x {columns}, which depends on the input sizes", FIX_DIMS)
    if rows != columns:
        ctx.invalid(f"matrices of {rows} x {columns}")
    if rows > MOST_ROWS:
        ctx.fail(f"its matrices have {rows} rows, more than {MOST_ROWS}")
    count = product(batch)
    if rows == 0:
        return ctx.one("Expand", ctx.like(1, x), shape=tuple(batch))
    left = ctx.reshape(ctx.cast(x, DType.F32) if x.dtype is not DType.F64 else x, (count, rows, rows))
    found: Value | None = None
    for size in range(rows, 2, -1):
        factor, left = _eliminated(ctx, left, size)
        found = factor if found is None else ctx.one("Mul", found, factor)
    last = _small(ctx, left)
    found = last if found is None else ctx.one("Mul", found, last)
    return ctx.cast(ctx.reshape(found, batch), x.dtype)


def _small(ctx: NodeContext, x: Value) -> Value:
    """Determinants of matrices of one or two rows, [batch, 1, 1]."""
    if x.shape[1] == 1:
        return x
    (a, b), (c, d) = ([_part(ctx, x, (i, 1), (j, 1)) for j in (0, 1)] for i in (0, 1))
    return ctx.one("Sub", ctx.one("Mul", a, d), ctx.one("Mul", b, c))


def _eliminated(ctx: NodeContext, x: Value, size: int) -> tuple[Value, Value]:
    """A factor of determinants, [batch, 1, 1], and matrices of one row and column less, whose are the other.

    The pivot is the column's largest element: its row and the first trade places, which turns the sign.
    """
    rest = (1, size - 1)
    column = _part(ctx, x, (0, size), (0, 1))
    place = ctx.one("ArgMax", ctx.one("Abs", column), axis=1)
    numbers = ctx.one("Range", size=size, dtype=place.dtype)
    chosen = ctx.one("Equal", ctx.reshape(numbers, (1, size, 1)), place)
    row = ctx.one("ReduceSum", ctx.one("Where", chosen, x, ctx.like(0, x)), axes=(1,), keepdims=True)
    first = _part(ctx, x, (0, 1), (0, size))
    others = ctx.one("Where", _part(ctx, chosen, rest, (0, 1)), first, _part(ctx, x, rest, (0, size)))
    pivot = _part(ctx, row, (0, 1), (0, 1))
    nothing = ctx.one("Equal", pivot, ctx.like(0, x))
    share = ctx.one("Div", _part(ctx, others, (0, size - 1), (0, 1)), pivot)
    share = ctx.one("Where", nothing, ctx.like(0, x), share)
    taken = ctx.one("Mul", share, _part(ctx, row, (0, 1), rest))
    left = ctx.one("Sub", _part(ctx, others, (0, size - 1), rest), taken)
    same = ctx.one("Equal", place, ctx.like(0, place))
    return ctx.one("Where", same, pivot, ctx.one("Neg", pivot)), left


def _part(ctx: NodeContext, x: Value, rows: tuple[int, int], columns: tuple[int, int]) -> Value:
    """Rows and columns of matrices, each from a first one on, so many."""
    return slice_axis(ctx, slice_axis(ctx, x, 1, *rows), 2, *columns)
