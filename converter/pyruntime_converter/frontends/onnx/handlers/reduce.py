"""Reductions: axes as attribute or input, and those that are a reduction between elementwise ops."""

from __future__ import annotations

from collections.abc import Callable

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Shape, Value
from pyruntime_converter.frontends.onnx.axes import fed_axes, integers
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import axes_of


class _Reduction:
    """What a node reduces, and how; axes that are known only when it runs are moved behind the others first.

    Attributes:
        x: the reduced tensor, perhaps with its axes in another order.
        axes: which ones of x are reduced; None where the node reduces none at all.
    """

    def __init__(self, ctx: NodeContext, axes_input_since: int = 18) -> None:
        x, stated = ctx.input(), axes_of(ctx, axes_input_since)
        keep = ctx.attr("keepdims")
        self._ctx, self._keepdims = ctx, keep is None or bool(keep)
        self._shape: Shape | None = None
        nothing = bool(ctx.attr("noop_with_empty_axes"))
        self.x, self.axes = x, None if nothing and not stated else tuple(range(x.rank))
        if not stated:
            return
        known = integers(stated)
        if known is not None:
            self.axes = tuple(sorted(ctx.axes(known, x.rank)))
            return
        fed = fed_axes(ctx, stated, x.rank)
        if fed.kept:
            self.x, self.axes = fed.moved_last(ctx, x), tuple(range(len(fed.kept), x.rank))
            self._shape = fed.as_ones(x.shape) if self._keepdims else None
            self._keepdims = False

    def __call__(self, op: str, value: Value) -> Value:
        """A canonical reduction of value, whose axes are those of x; value itself where there are none."""
        if not self.axes:
            return value
        made = self._ctx.one(op, value, axes=self.axes, keepdims=self._keepdims)
        return made if self._shape is None else self._ctx.reshape(made, self._shape)

    def spread(self, made: Value) -> Value:
        """What was made of x, in a shape that broadcasts against x."""
        axes = self.axes or ()
        return self._ctx.reshape(made, [1 if a in axes else d for a, d in enumerate(self.x.shape)])


@handles("ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd")
def reduce(ctx: NodeContext) -> Value:
    """A canonical reduction; the extremes of bools are those of the bytes 0 and 1."""
    reduction = _Reduction(ctx)
    x = reduction.x
    bools = x.dtype is DType.BOOL
    result = reduction(ctx.op, ctx.cast(x, DType.U8) if bools else x)
    return ctx.cast(result, DType.BOOL) if bools else result


@handles("ReduceSum")
def reduce_sum(ctx: NodeContext) -> Value:
    """A sum; its axes became an input earlier than the others'."""
    reduction = _Reduction(ctx, 13)
    return reduction("ReduceSum", reduction.x)


def _square(ctx: NodeContext, x: Value) -> Value:
    return ctx.one("Mul", x, x)


@handles("ReduceSumSquare")
def reduce_sum_square(ctx: NodeContext) -> Value:
    """The sum of squares."""
    reduction = _Reduction(ctx)
    return reduction("ReduceSum", _square(ctx, reduction.x))


@handles("ReduceL1")
def reduce_l1(ctx: NodeContext) -> Value:
    """The sum of magnitudes."""
    reduction = _Reduction(ctx)
    return reduction("ReduceSum", ctx.one("Abs", reduction.x))


@handles("ReduceL2")
def reduce_l2(ctx: NodeContext) -> Value:
    """The root of the sum of squares."""
    return _in_float(ctx, lambda x, total: ctx.one("Sqrt", total("ReduceSum", _square(ctx, x))))


@handles("ReduceLogSum")
def reduce_log_sum(ctx: NodeContext) -> Value:
    """The logarithm of the sum."""
    return _in_float(ctx, lambda x, total: ctx.one("Log", total("ReduceSum", x)))


@handles("ReduceLogSumExp")
def reduce_log_sum_exp(ctx: NodeContext) -> Value:
    """The logarithm of the sum of exponentials, of what is left after taking out the largest."""

    def body(x: Value, reduction: _Reduction) -> Value:
        if not reduction.axes:
            return x
        largest = reduction("ReduceMax", x)
        # an infinite maximum must not be taken out: inf - inf is NaN
        largest = ctx.one("Where", ctx.one("IsInf", largest), ctx.like(0, x), largest)
        total = reduction("ReduceSum", ctx.one("Exp", ctx.one("Sub", x, reduction.spread(largest))))
        return ctx.one("Add", ctx.one("Log", total), largest)

    return _in_float(ctx, body)


def _in_float(ctx: NodeContext, body: Callable[[Value, _Reduction], Value]) -> Value:
    """body on the input, for integers through float32, as ONNX rounds their results."""
    reduction = _Reduction(ctx)
    x = reduction.x
    if x.dtype.is_float:
        return body(x, reduction)
    return ctx.cast(body(ctx.cast(x, DType.F32), reduction), x.dtype)


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
    x, stated = ctx.input(0), ctx.known(ctx.input(1), "its axis")
    if len(stated) != 1:
        ctx.invalid(f"{len(stated)} axes")
    how = {name: bool(ctx.attr(name)) for name in ("exclusive", "reverse")}
    known = integers(stated)
    if known is not None:
        return ctx.one(ctx.op, x, axis=ctx.axis(known[0], x.rank), **how)
    fed = fed_axes(ctx, stated, x.rank)
    if not fed.kept:
        return ctx.one(ctx.op, x, axis=0, **how)
    made = ctx.one(ctx.op, fed.moved_last(ctx, x), axis=x.rank - 1, **how)
    return fed.moved_back(ctx, made, x.shape)
