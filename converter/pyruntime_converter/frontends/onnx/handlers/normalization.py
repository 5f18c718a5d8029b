"""Normalisations, softmax and its relatives."""

from __future__ import annotations

from collections.abc import Callable

from pyruntime.ir.dims import product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import FIX_DIMS, ByFunction, NodeContext, handles

_TRAINING = "Export the model for inference."


@handles("BatchNormalization")
def batch_normalization(ctx: NodeContext) -> Value | list[Value]:
    """With the statistics that the model carries, or in training mode with those of the batch."""
    x, *parameters = (ctx.input(i) for i in range(5))
    scale, bias, mean, variance = parameters
    momentum, epsilon = ctx.attr("momentum"), ctx.attr("epsilon")
    # is_test is missing in many files of opset 6 and before that were meant for inference all the same
    ctx.attr("is_test")
    if ctx.attr("training_mode"):
        return _trained(ctx, x, parameters, momentum, epsilon)
    # before opset 14 a node with more outputs than one trains
    if ctx.opset < 14 and ctx.stated_outputs > 1:
        ctx.fail("it is in training mode", _TRAINING)
    spatial = ctx.attr("spatial")
    if spatial is None or spatial:
        dtype = x.dtype if all(p.dtype is x.dtype for p in parameters) else DType.F32
        wide = [ctx.cast(v, dtype) for v in (x, *parameters)]
        return ctx.cast(ctx.one("BatchNormalization", *wide, epsilon=epsilon), x.dtype)
    deviation = ctx.one("Sqrt", ctx.one("Add", variance, ctx.like(epsilon, variance)))
    centred = ctx.one("Div", ctx.one("Sub", x, mean), deviation)
    return ctx.one("Add", ctx.one("Mul", centred, scale), bias)


def _trained(
    ctx: NodeContext, x: Value, parameters: list[Value], momentum: float, epsilon: float
) -> list[Value]:
    """Each channel by its own statistics over the batch, and the running ones with a part of these."""
    scale, bias, *running = parameters
    axes = tuple(a for a in range(x.rank) if a != 1)
    wide = ctx.cast(x, DType.F64 if x.dtype is DType.F64 else DType.F32)
    mean = ctx.one("ReduceMean", wide, axes=axes, keepdims=True)
    centred = ctx.one("Sub", wide, mean)
    variance = ctx.one("ReduceMean", ctx.one("Mul", centred, centred), axes=axes, keepdims=True)
    deviation = ctx.one("Sqrt", ctx.one("Add", variance, ctx.like(epsilon, variance)))

    def per_channel(value: Value) -> Value:
        return ctx.reshape(ctx.cast(value, wide.dtype), (*value.shape, *[1] * (x.rank - 2)))

    scaled = ctx.one("Mul", ctx.one("Div", centred, deviation), per_channel(scale))
    results = [ctx.cast(ctx.one("Add", scaled, per_channel(bias)), x.dtype)]
    for old, new in zip(running, (mean, variance), strict=True):
        kept = ctx.one("Mul", ctx.cast(old, wide.dtype), ctx.like(momentum, wide))
        added = ctx.one("Mul", ctx.reshape(new, old.shape), ctx.like(1 - momentum, wide))
        results.append(ctx.cast(ctx.one("Add", kept, added), old.dtype))
    return results


@handles("InstanceNormalization")
def instance_normalization(ctx: NodeContext) -> Value:
    """Each channel of each item by its own statistics."""
    x, scale, bias = ctx.input(0), ctx.input(1), ctx.input(2)
    return ctx.one("InstanceNormalization", x, scale, bias, epsilon=ctx.attr("epsilon"))


@handles("LayerNormalization")
def layer_normalization(ctx: NodeContext) -> list[Value]:
    """All axes from `axis` on by their common statistics, which are outputs too where asked for."""
    x, scale, bias = ctx.input(0), ctx.input(1), ctx.optional(2)
    axis, epsilon = ctx.axis(ctx.attr("axis"), x.rank), ctx.attr("epsilon")
    if ctx.attr("stash_type") != 1:
        ctx.fail(f"stash_type {ctx.attr('stash_type')} is not supported")
    fits = all(v is None or v.rank <= x.rank - axis for v in (scale, bias))
    if fits and not any(ctx.outputs[1:]):
        return [ctx.one("LayerNormalization", x, scale, bias, axis=axis, epsilon=epsilon)]
    axes = tuple(range(axis, x.rank))
    wide = ctx.cast(x, DType.F32)
    mean = ctx.one("ReduceMean", wide, axes=axes, keepdims=True)
    centred = ctx.one("Sub", wide, mean)
    variance = ctx.one("ReduceMean", ctx.one("Mul", centred, centred), axes=axes, keepdims=True)
    deviation = ctx.one("Sqrt", ctx.one("Add", variance, ctx.like(epsilon, variance)))
    inverse = ctx.one("Reciprocal", deviation)
    result = ctx.one("Mul", ctx.cast(ctx.one("Mul", centred, inverse), x.dtype), scale)
    return [result if bias is None else ctx.one("Add", result, bias), mean, inverse]


@handles("GroupNormalization")
def group_normalization(ctx: NodeContext) -> Value:
    """Each group of channels by its own statistics; scale and bias are per group before opset 21."""
    x, scale, bias = ctx.input(0), ctx.input(1), ctx.input(2)
    groups, epsilon = ctx.required("num_groups"), ctx.attr("epsilon")
    if ctx.attr("stash_type") not in (None, 1):
        ctx.fail(f"stash_type {ctx.attr('stash_type')} is not supported")
    channels = x.shape[1] if x.rank > 2 else 0
    if not isinstance(channels, int):
        ctx.fail(f"its number of channels ({channels}) depends on the input sizes", FIX_DIMS)
    if groups < 1 or channels < 1 or channels % groups:
        ctx.invalid(f"{groups} groups for an input of shape {x.shape}")
    each = channels // groups
    grouped = ctx.reshape(x, (x.shape[0], groups, each * product(x.shape[2:])))
    one, zero = (ctx.builder.constant([v] * groups, x.dtype) for v in (1, 0))
    normal = ctx.one("InstanceNormalization", grouped, one, zero, epsilon=epsilon)
    normal = ctx.reshape(normal, x.shape)

    def per_channel(value: Value) -> Value:
        if ctx.opset < 21:
            value = ctx.one("Expand", ctx.reshape(value, (groups, 1)), shape=(groups, each))
        return ctx.reshape(value, (channels, *[1] * (x.rank - 2)))

    return ctx.one("Add", ctx.one("Mul", normal, per_channel(scale)), per_channel(bias))


@handles("LRN")
def local_response_normalization(ctx: NodeContext) -> Value:
    """Across neighbouring channels: the mean of squares over a window is an average pooling."""
    x, size = ctx.input(), ctx.required("size")
    if x.rank < 3 or size < 1:
        ctx.invalid(f"size {size} for an input of shape {x.shape}")
    rest = product(x.shape[2:])
    squares = ctx.reshape(ctx.one("Mul", x, x), (x.shape[0], 1, x.shape[1], rest))
    before = (size - 1) // 2
    mean = ctx.one(
        "AveragePool",
        squares,
        kernel=(size, 1),
        strides=(1, 1),
        dilations=(1, 1),
        pads=(before, 0, size - 1 - before, 0),
        ceil_mode=False,
        count_include_pad=True,
    )
    scaled = ctx.one("Mul", ctx.reshape(mean, x.shape), ctx.like(ctx.attr("alpha"), x))
    base = ctx.one("Add", scaled, ctx.like(ctx.attr("bias"), x))
    return ctx.one("Div", x, ctx.one("Pow", base, ctx.like(ctx.attr("beta"), x)))


@handles("MeanVarianceNormalization")
def mean_variance_normalization(ctx: NodeContext) -> Value:
    """By the statistics over some axes, as ONNX's function says, whose constants are float32 alone."""
    x, axes = ctx.input(), ctx.attr("axes")
    if x.dtype is not DType.F64:
        raise ByFunction
    over = {"axes": tuple(ctx.axis(a, x.rank) for a in axes), "keepdims": True}
    mean = ctx.one("ReduceMean", x, **over)
    squares = ctx.one("ReduceMean", ctx.one("Mul", x, x), **over)
    deviation = ctx.one("Sqrt", ctx.one("Sub", squares, ctx.one("Mul", mean, mean)))
    return ctx.one("Div", ctx.one("Sub", x, mean), ctx.one("Add", deviation, ctx.like(1e-9, x)))


@handles("LpNormalization")
def lp_normalization(ctx: NodeContext) -> Value:
    """Divided by the norm along an axis; zero where the norm is."""
    x = ctx.input()
    axis, p = ctx.axis(ctx.attr("axis"), x.rank), ctx.attr("p")
    if p not in (1, 2):
        ctx.invalid(f"p {p}")
    powers = ctx.one("Abs", x) if p == 1 else ctx.one("Mul", x, x)
    norm = ctx.one("ReduceSum", powers, axes=(axis,), keepdims=True)
    norm = norm if p == 1 else ctx.one("Sqrt", norm)
    zero = ctx.like(0, x)
    return ctx.one("Where", ctx.one("Equal", norm, zero), zero, ctx.one("Div", x, norm))


@handles("Softmax", "LogSoftmax", since=13)
def softmax(ctx: NodeContext) -> Value:
    """Along one axis."""
    x = ctx.input()
    return ctx.one(ctx.op, x, axis=ctx.axis(ctx.attr("axis"), x.rank))


@handles("Softmax", "LogSoftmax", until=12)
def softmax_flattened(ctx: NodeContext) -> Value:
    """Along all axes from `axis` on together."""
    x = ctx.input()
    return _flattened(ctx, x, lambda flat, axis: ctx.one(ctx.op, flat, axis=axis))


@handles("Hardmax", since=13)
def hardmax(ctx: NodeContext) -> Value:
    """One at the first largest element along an axis, zero elsewhere."""
    x = ctx.input()
    return _hardmax(ctx, x, ctx.axis(ctx.attr("axis"), x.rank))


@handles("Hardmax", until=12)
def hardmax_flattened(ctx: NodeContext) -> Value:
    """The same along all axes from `axis` on together."""
    return _flattened(ctx, ctx.input(), lambda flat, axis: _hardmax(ctx, flat, axis))


def _flattened(ctx: NodeContext, x: Value, apply: Callable[[Value, int], Value]) -> Value:
    """apply to the last axis of x flattened to two, or to x itself where that is the same."""
    axis = ctx.axis(ctx.attr("axis"), x.rank)
    if all(d == 1 for d in x.shape[axis + 1 :]):
        return apply(x, axis)
    flat = ctx.reshape(x, (product(x.shape[:axis]), product(x.shape[axis:])))
    return ctx.reshape(apply(flat, 1), x.shape)


def _hardmax(ctx: NodeContext, x: Value, axis: int) -> Value:
    depth = x.shape[axis]
    if depth == 0:
        return x
    first = ctx.one("ArgMax", x, axis=axis, keepdims=False, select_last_index=False)
    values = ctx.builder.constant([0, 1], x.dtype)
    return ctx.one("OneHot", first, values, axis=axis, depth=depth)
