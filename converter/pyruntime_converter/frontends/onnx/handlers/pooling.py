"""Pooling over windows and over everything."""

from __future__ import annotations

import math
from typing import Any

from pyruntime.ir.dims import Dim, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Shape, Value
from pyruntime.ops.windows import Windows
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import auto_pad, per_window_axis, window_pads
from pyruntime_converter.frontends.onnx.sampling import Math, positions


def window(ctx: NodeContext, x: Value) -> dict[str, Any]:
    """The attributes that all pooling ops of x share."""
    kernel = tuple(ctx.required("kernel_shape"))
    if len(kernel) != x.rank - 2 or any(k < 1 for k in kernel):
        ctx.invalid(f"kernel_shape {kernel} for an input of shape {x.shape}")
    strides = per_window_axis(ctx, "strides", len(kernel))
    dilations = per_window_axis(ctx, "dilations", len(kernel))
    pads: tuple[Dim, ...] = window_pads(ctx, x.shape[2:], kernel, strides, dilations)
    same = auto_pad(ctx).startswith("SAME")
    return {
        "kernel": kernel,
        "strides": strides,
        "dilations": dilations,
        "pads": pads,
        # SAME has the sizes already that ceil_mode would round up to
        "ceil_mode": bool(ctx.attr("ceil_mode")) and not same,
    }


@handles("MaxPool")
def max_pool(ctx: NodeContext) -> Value | list[Value]:
    """The largest of each window and, where it is read, its place in the input."""
    x, by_column, shared = ctx.input(), bool(ctx.attr("storage_order")), window(ctx, ctx.input())
    largest = ctx.one("MaxPool", x, **shared)
    if len(ctx.outputs) < 2 or not ctx.outputs[1]:
        return largest
    return [largest, _places(ctx, x, largest, shared, by_column=by_column)]


def _places(ctx: NodeContext, x: Value, largest: Value, shared: dict[str, Any], *, by_column: bool) -> Value:
    """For each window the first place that holds its largest element, counted over all of x."""
    numbers, sizes, rank = Math(ctx, DType.I32), x.shape[2:], x.rank - 2
    met, counts = x, None
    place = numbers.number(0)
    for a, size in enumerate(sizes):
        out, k = largest.shape[2 + a], shared["kernel"][a]
        along = [(out, -shared["pads"][a], shared["strides"][a]), (k, 0, shared["dilations"][a])]
        at = positions(numbers, along, DType.I32)
        met = ctx.one("Gather", met, numbers.clip(at, 0, size - 1), axis=2 + 2 * a)
        spread = (out, k, *[1] * (2 * (rank - 1 - a)))
        inside = ctx.one("And", numbers.apply("GreaterOrEqual", at, 0), numbers.apply("Less", at, size))
        inside = ctx.reshape(inside, spread)
        counts = inside if counts is None else ctx.one("And", counts, inside)
        step = numbers.apply("Mul", ctx.reshape(at, spread), product(sizes[a + 1 :]))
        place = ctx.one("Add", place, step)
    assert counts is not None
    apart = [d for out in largest.shape[2:] for d in (out, 1)]
    best = ctx.one("Equal", met, ctx.reshape(largest, (*x.shape[:2], *apart)))
    if x.dtype.is_float:
        best = ctx.one("Or", best, ctx.one("IsNaN", met))
    chosen = ctx.one("Where", ctx.one("And", best, counts), place, numbers.number(2**31 - 1))
    taps = tuple(range(3, met.rank, 2))
    first = ctx.one("ReduceMin", chosen, axes=taps, keepdims=False)
    if by_column:
        first = _column_major(numbers, first, sizes)
    images = positions(numbers, [(x.shape[0], 0, 1), (1, 0, 1)], DType.I32)
    images = numbers.apply("Mul", images, x.shape[1])
    images = ctx.one("Add", images, positions(numbers, [(1, 0, 1), (x.shape[1], 0, 1)], DType.I32))
    images = ctx.reshape(images, (*x.shape[:2], *[1] * rank))
    return ctx.cast(ctx.one("Add", first, numbers.apply("Mul", images, product(sizes))), DType.I64)


def _column_major(numbers: Math, place: Value, sizes: Shape) -> Value:
    """A row-major place in an image as one that counts along the first axis first."""
    result = numbers.number(0)
    for a, size in enumerate(sizes):
        at = numbers.apply("Mod", numbers.apply("Div", place, product(sizes[a + 1 :])), size)
        result = numbers.ctx.one("Add", result, numbers.apply("Mul", at, product(sizes[:a])))
    return result


@handles("MaxUnpool")
def max_unpool(ctx: NodeContext) -> Value:
    """Elements put where a MaxPool found them, in the image that its windows cover, and zeros elsewhere."""
    x, indices, stated = ctx.input(0), ctx.input(1), ctx.optional(2)
    kernel = tuple(ctx.required("kernel_shape"))
    if len(kernel) != x.rank - 2 or indices.shape != x.shape:
        ctx.invalid(f"kernel_shape {kernel} and indices {indices.shape} for an input of shape {x.shape}")
    rank, strides = len(kernel), per_window_axis(ctx, "strides", len(kernel))
    pads = ctx.attr("pads") or (0,) * (2 * rank)
    sizes = [
        (size - 1) * s - before - after + k
        for size, s, k, before, after in zip(
            x.shape[2:], strides, kernel, pads[:rank], pads[rank:], strict=True
        )
    ]
    shape = (*x.shape[:2], *sizes)
    flat = ctx.one("Expand", ctx.like(0, x), shape=(product(shape),))
    places, found = (ctx.reshape(v, (x.elements,)) for v in (indices, x))
    filled = ctx.reshape(ctx.one("ScatterElements", flat, places, found, axis=0, reduction="none"), shape)
    if stated is None:
        return filled
    wanted = ctx.known(stated, "its output_shape")
    after = tuple(w - s for w, s in zip(wanted, shape, strict=True))
    return ctx.one("Pad", filled, before=(0,) * filled.rank, after=after, mode="constant", value=0)


@handles("AveragePool")
def average_pool(ctx: NodeContext) -> Value:
    """The mean of each window, with or without the padding."""
    counted = bool(ctx.attr("count_include_pad"))
    return ctx.one("AveragePool", ctx.input(), count_include_pad=counted, **window(ctx, ctx.input()))


@handles("LpPool")
def lp_pool(ctx: NodeContext) -> Value:
    """The p-norm of each window, from the mean of powers over the whole window."""
    x, p = ctx.input(), _order(ctx)
    shared = _padded_as_reached(window(ctx, x), x)
    taps = math.prod(ctx.attr("kernel_shape"))
    powers = _powers(ctx, x, p)
    mean = ctx.one("AveragePool", powers, count_include_pad=True, **shared)
    return _root(ctx, ctx.one("Mul", mean, ctx.like(taps, mean)), p)


def _padded_as_reached(shared: dict[str, Any], x: Value) -> dict[str, Any]:
    """The same windows with as much padding as they reach, none or more: zeros add nothing to a norm."""
    windows = Windows(*(shared[name] for name in ("kernel", "strides", "dilations", "pads")))
    if not shared["ceil_mode"]:
        return shared
    counts = windows.output_sizes(x.shape[2:], True)
    reached = [
        (count - 1) * s + d * (k - 1) + 1 - size - before
        for count, size, k, s, d, before in zip(
            counts,
            x.shape[2:],
            windows.kernel,
            windows.strides,
            windows.dilations,
            windows.before,
            strict=True,
        )
    ]
    return {**shared, "pads": (*windows.before, *reached)}


def _order(ctx: NodeContext) -> float:
    p = ctx.attr("p")
    return 2.0 if p is None else float(p)


def _powers(ctx: NodeContext, x: Value, p: float) -> Value:
    magnitude = ctx.one("Abs", x)
    return (
        ctx.one("Mul", x, x) if p == 2 else ctx.one("Pow", magnitude, ctx.like(p, x)) if p != 1 else magnitude
    )


def _root(ctx: NodeContext, x: Value, p: float) -> Value:
    if p == 2:
        return ctx.one("Sqrt", x)
    return x if p == 1 else ctx.one("Pow", x, ctx.like(1 / p, x))


def _spatial(ctx: NodeContext) -> tuple[int, ...]:
    if ctx.input().rank < 3:
        ctx.invalid(f"an input of rank {ctx.input().rank}")
    return tuple(range(2, ctx.input().rank))


@handles("GlobalAveragePool")
def global_average_pool(ctx: NodeContext) -> Value:
    """The mean of each channel."""
    return ctx.one("ReduceMean", ctx.input(), axes=_spatial(ctx), keepdims=True)


@handles("GlobalMaxPool")
def global_max_pool(ctx: NodeContext) -> Value:
    """The largest of each channel."""
    return ctx.one("ReduceMax", ctx.input(), axes=_spatial(ctx), keepdims=True)


@handles("GlobalLpPool")
def global_lp_pool(ctx: NodeContext) -> Value:
    """The p-norm of each channel."""
    p = _order(ctx)
    powers = _powers(ctx, ctx.input(), p)
    return _root(ctx, ctx.one("ReduceSum", powers, axes=_spatial(ctx), keepdims=True), p)
