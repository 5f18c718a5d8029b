"""Convolutions, with auto_pad resolved."""

from __future__ import annotations

from typing import Any

from pyruntime.ir.dims import Dim
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import (
    auto_pad,
    ones,
    per_window_axis,
    window_pads,
    with_axis,
)


def _kernel(ctx: NodeContext, w: Value, rank: int) -> tuple[int, ...]:
    """The kernel's sizes, from the weights; `kernel_shape` must agree where it is stated."""
    sizes = tuple(d for d in w.shape[2:] if isinstance(d, int))
    if len(sizes) != w.rank - 2:
        ctx.fail("the kernel's size is not fixed")
    stated = ctx.attr("kernel_shape")
    if w.rank != rank or (stated and tuple(stated) != sizes):
        ctx.invalid(f"weights {w.shape} for an input of rank {rank} and kernel_shape {stated}")
    return sizes


@handles("Conv")
def conv(ctx: NodeContext) -> Value:
    """A convolution over any number of spatial axes."""
    return convolved(ctx, ctx.input(0), ctx.input(1), ctx.optional(2))


def convolved(ctx: NodeContext, x: Value, w: Value, b: Value | None) -> Value:
    """x convolved with w, as the node's attributes say."""
    return ctx.one("Conv", x, w, b, **geometry(ctx, x, w))


def geometry(ctx: NodeContext, x: Value, w: Value) -> dict[str, Any]:
    """Strides, dilations, pads and groups of a convolution of x with w."""
    if x.rank < 3:
        ctx.invalid(f"an input of rank {x.rank}")
    kernel = _kernel(ctx, w, x.rank)
    strides = per_window_axis(ctx, "strides", len(kernel))
    dilations = per_window_axis(ctx, "dilations", len(kernel))
    pads = window_pads(ctx, x.shape[2:], kernel, strides, dilations)
    group = ctx.attr("group")
    return {"strides": strides, "dilations": dilations, "pads": pads, "group": 1 if group is None else group}


@handles("ConvTranspose")
def conv_transpose(ctx: NodeContext) -> Value:
    """A convolution of the input spread out by the strides, with the kernel turned around."""
    x, w, b, group = ctx.input(0), ctx.input(1), ctx.optional(2), ctx.attr("group")
    if x.rank < 3 or not isinstance(w.shape[0], int) or w.shape[0] % group:
        ctx.invalid(f"weights {w.shape} in {group} groups for an input of shape {x.shape}")
    kernel = _kernel(ctx, w, x.rank)
    rank = len(kernel)
    strides = per_window_axis(ctx, "strides", rank)
    dilations = per_window_axis(ctx, "dilations", rank)
    extra = tuple(ctx.attr("output_padding") or (0,) * rank)
    reach = [(k - 1) * d for k, d in zip(kernel, dilations, strict=True)]
    crops = _crops(ctx, x, reach, strides, extra)
    # an output cropped at one end is an input padded less there
    before = [r - c for r, c in zip(reach, crops[:rank], strict=True)]
    after = [r - c + e for r, c, e in zip(reach, crops[rank:], extra, strict=True)]
    spread = _spread(ctx, x, strides)
    pads = (*before, *after)
    if any(not isinstance(p, int) or p < 0 for p in pads):
        spread = _shift(ctx, spread, before, after)
        pads = (0,) * (2 * rank)
    return ctx.one(
        "Conv",
        spread,
        _turned(ctx, w, group),
        b,
        strides=ones(rank),
        dilations=dilations,
        pads=pads,
        group=group,
    )


def _crops(
    ctx: NodeContext, x: Value, reach: list[int], strides: tuple[int, ...], extra: tuple[int, ...]
) -> tuple[Dim, ...]:
    """How much of the full output is cut off: all begins, then all ends."""
    rank = len(reach)
    auto, wanted = auto_pad(ctx), ctx.attr("output_shape")
    stated = ctx.attr("pads")
    if not wanted and auto in ("NOTSET", "VALID"):
        return tuple(stated) if stated and auto == "NOTSET" else (0,) * (2 * rank)
    sizes = (
        tuple(wanted)[-rank:] if wanted else tuple(d * s for d, s in zip(x.shape[2:], strides, strict=True))
    )
    totals = [
        (d - 1) * s + r + 1 + e - size
        for d, s, r, e, size in zip(x.shape[2:], strides, reach, extra, sizes, strict=True)
    ]
    less, more = [t // 2 for t in totals], [t - t // 2 for t in totals]
    return (*less, *more) if auto == "SAME_UPPER" else (*more, *less)


def _spread(ctx: NodeContext, x: Value, strides: tuple[int, ...]) -> Value:
    """x with strides - 1 zeros between neighbours of each spatial axis."""
    for axis, stride in enumerate(strides, 2):
        if stride == 1:
            continue
        size = x.shape[axis]
        split = with_axis(ctx, x, axis + 1)
        after = tuple(stride - 1 if a == axis + 1 else 0 for a in range(split.rank))
        padded = ctx.one("Pad", split, before=(0,) * split.rank, after=after, mode="constant", value=0)
        joined = ctx.reshape(padded, (*x.shape[:axis], size * stride, *x.shape[axis + 1 :]))
        sizes = tuple(d - (stride - 1) if a == axis else d for a, d in enumerate(joined.shape))
        x = ctx.one("Slice", joined, starts=(0,) * x.rank, sizes=sizes, steps=ones(x.rank))
    return x


def _shift(ctx: NodeContext, x: Value, before: list[Dim], after: list[Dim]) -> Value:
    """x with zeros added at both ends of the spatial axes, or cropped where an amount is negative."""
    if any(not isinstance(d, int) for d in (*before, *after)):
        ctx.fail("its padding depends on the input sizes")
    low, high = [0, 0, *before], [0, 0, *after]
    starts = tuple(max(0, -d) for d in low if isinstance(d, int))
    ends = tuple(max(0, -d) for d in high if isinstance(d, int))
    sizes = tuple(d - s - e for d, s, e in zip(x.shape, starts, ends, strict=True))
    x = ctx.one("Slice", x, starts=starts, sizes=sizes, steps=ones(x.rank))
    grown = [tuple(max(0, d) for d in side if isinstance(d, int)) for side in (low, high)]
    return ctx.one("Pad", x, before=grown[0], after=grown[1], mode="constant", value=0)


def _turned(ctx: NodeContext, w: Value, group: int) -> Value:
    """[C, M / group, kernel...] as Conv's [M, C / group, kernel...], every kernel back to front."""
    starts = (0, 0, *(d - 1 for d in w.shape[2:]))
    w = ctx.one("Slice", w, starts=starts, sizes=w.shape, steps=(1, 1, *[-1] * (w.rank - 2)))
    channels, outputs, *kernel = w.shape
    assert isinstance(channels, int)
    grouped = ctx.reshape(w, (group, channels // group, outputs, *kernel))
    swapped = ctx.one("Transpose", grouped, perm=(0, 2, 1, *range(3, grouped.rank)))
    return ctx.reshape(swapped, (outputs * group, channels // group, *kernel))
