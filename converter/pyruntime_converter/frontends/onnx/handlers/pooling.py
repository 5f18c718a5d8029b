"""Pooling over windows and over everything."""

from __future__ import annotations

import math
from typing import Any

from pyruntime.ir.dims import Dim, product
from pyruntime.ir.graph import Value
from pyruntime.ops.windows import Windows
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import auto_pad, per_window_axis, window_pads


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
def max_pool(ctx: NodeContext) -> Value:
    """The largest of each window; the second output, its indices, is not supported."""
    ctx.attr("storage_order")  # of the indices
    return ctx.one("MaxPool", ctx.input(), **window(ctx, ctx.input()))


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
    shared = _without_ceiling(window(ctx, x), x)
    taps = math.prod(ctx.attr("kernel_shape"))
    powers = _powers(ctx, x, p)
    mean = ctx.one("AveragePool", powers, count_include_pad=True, **shared)
    return _root(ctx, ctx.one("Mul", mean, ctx.like(taps, mean)), p)


def _without_ceiling(shared: dict[str, Any], x: Value) -> dict[str, Any]:
    """The same windows with as much padding as they reach: zeros add nothing to a norm."""
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
    return {**shared, "pads": (*windows.before, *reached), "ceil_mode": False}


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
