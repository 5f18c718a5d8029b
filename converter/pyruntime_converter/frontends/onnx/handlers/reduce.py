"""Reductions: axes as attribute or input, and those that are a reduction between elementwise ops."""

from __future__ import annotations

from collections.abc import Callable

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import axes_of

Reduce = Callable[[str, Value], Value]


def _reduction(ctx: NodeContext, axes_input_since: int = 18) -> Reduce | None:
    """Applies a canonical reduction over this node's axes; None where the node reduces none at all."""
    stated, rank = axes_of(ctx, axes_input_since), ctx.input().rank
    keep = ctx.attr("keepdims")
    keepdims = True if keep is None else bool(keep)
    nothing = bool(ctx.attr("noop_with_empty_axes"))
    if not stated and nothing:
        return None
    axes = tuple(sorted(ctx.axes(stated, rank))) if stated else tuple(range(rank))
    if not axes:  # a scalar
        return lambda _, value: value
    return lambda op, value: ctx.one(op, value, axes=axes, keepdims=keepdims)


@handles("ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd")
def reduce(ctx: NodeContext) -> Value:
    """A canonical reduction; the extremes of bools are those of the bytes 0 and 1."""
    apply, x = _reduction(ctx), ctx.input()
    if apply is None:
        return x
    bools = x.dtype is DType.BOOL
    result = apply(ctx.op, ctx.cast(x, DType.U8) if bools else x)
    return ctx.cast(result, DType.BOOL) if bools else result


@handles("ReduceSum")
def reduce_sum(ctx: NodeContext) -> Value:
    """A sum; its axes became an input earlier than the others'."""
    apply = _reduction(ctx, 13)
    return ctx.input() if apply is None else apply("ReduceSum", ctx.input())


def _square(ctx: NodeContext, x: Value) -> Value:
    return ctx.one("Mul", x, x)


def _sum(ctx: NodeContext, x: Value) -> Value:
    apply = _reduction(ctx)
    return x if apply is None else apply("ReduceSum", x)


@handles("ReduceSumSquare")
def reduce_sum_square(ctx: NodeContext) -> Value:
    """The sum of squares."""
    return _sum(ctx, _square(ctx, ctx.input()))


@handles("ReduceL1")
def reduce_l1(ctx: NodeContext) -> Value:
    """The sum of magnitudes."""
    return _sum(ctx, ctx.one("Abs", ctx.input()))


@handles("ReduceL2")
def reduce_l2(ctx: NodeContext) -> Value:
    """The root of the sum of squares."""
    return _in_float(ctx, lambda x: ctx.one("Sqrt", _sum(ctx, _square(ctx, x))))


@handles("ReduceLogSum")
def reduce_log_sum(ctx: NodeContext) -> Value:
    """The logarithm of the sum."""
    return _in_float(ctx, lambda x: ctx.one("Log", _sum(ctx, x)))


@handles("ReduceLogSumExp")
def reduce_log_sum_exp(ctx: NodeContext) -> Value:
    """The logarithm of the sum of exponentials, of what is left after taking out the largest."""
    return _in_float(ctx, lambda x: _log_sum_exp(ctx, x))


def _log_sum_exp(ctx: NodeContext, x: Value) -> Value:
    apply = _reduction(ctx)
    if apply is None or x.rank == 0:
        return x
    largest = apply("ReduceMax", x)
    # an infinite maximum must not be taken out: inf - inf is NaN
    largest = ctx.one("Where", ctx.one("IsInf", largest), ctx.like(0, x), largest)
    stated = axes_of(ctx, 18)
    axes = set(ctx.axes(stated, x.rank)) if stated else set(range(x.rank))
    wide = ctx.reshape(largest, [1 if a in axes else d for a, d in enumerate(x.shape)])
    total = apply("ReduceSum", ctx.one("Exp", ctx.one("Sub", x, wide)))
    return ctx.one("Add", ctx.one("Log", total), largest)


def _in_float(ctx: NodeContext, body: Callable[[Value], Value]) -> Value:
    """body on the input, for integers through float32, as ONNX rounds their results."""
    x = ctx.input()
    return body(x) if x.dtype.is_float else ctx.cast(body(ctx.cast(x, DType.F32)), x.dtype)


@handles("ArgMax", "ArgMin")
def arg_extreme(ctx: NodeContext) -> Value:
    """The index of the largest or smallest element along an axis."""
    x = ctx.input()
    return ctx.one(
        ctx.op,
        x,
        axis=ctx.axis(ctx.attr("axis"), x.rank),
        keepdims=bool(ctx.attr("keepdims")),
        select_last_index=bool(ctx.attr("select_last_index")),
    )


@handles("CumSum", "CumProd")
def cumulative(ctx: NodeContext) -> Value:
    """Running sums or products along an axis, which is an input."""
    x, stated = ctx.input(0), ctx.known_ints(ctx.input(1), "its axis")
    if len(stated) != 1:
        ctx.invalid(f"{len(stated)} axes")
    return ctx.one(
        ctx.op,
        x,
        axis=ctx.axis(stated[0], x.rank),
        exclusive=bool(ctx.attr("exclusive")),
        reverse=bool(ctx.attr("reverse")),
    )
