"""RoiAlign and MaxRoiPool: regions of images in bins, which are sampled or searched."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pyruntime.ir.dims import Dim, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import slice_axis, with_axis
from pyruntime_converter.frontends.onnx.loops import repeated
from pyruntime_converter.frontends.onnx.sampling import (
    Math,
    Tap,
    channels_in_rows,
    corners_of,
    positions,
    precise,
    total,
)

_MOST_BINS = 127  # along an axis of MaxRoiPool: times 2**24 pixels they are counted in 32 bits


@dataclass(frozen=True)
class _Regions:
    """Where regions lie along an axis of this size, in pixels, [regions, 1]; and in how many bins."""

    begin: Value
    reach: Value
    bins: int
    size: Dim


@handles("RoiAlign")
def roi_align(ctx: NodeContext) -> Value:
    """Samples at even distances in each part of a region, averaged, or the largest of their terms."""
    x, rois, images = ctx.input(0), ctx.input(1), ctx.input(2)
    if x.rank != 4 or rois.rank != 2 or rois.shape[1] != 4 or images.shape != rois.shape[:1]:
        ctx.invalid(f"regions {rois.shape} in images {images.shape} of an input {x.shape}")
    default = "half_pixel" if ctx.opset >= 16 else "output_half_pixel"
    half = default == "half_pixel"
    if ctx.opset >= 16:
        half = ctx.choice("coordinate_transformation_mode", default, "output_half_pixel") == default
    mode, ratio = ctx.choice("mode", "avg", "max"), ctx.attr("sampling_ratio")
    counts = (ctx.attr("output_height"), ctx.attr("output_width"))
    numbers = Math(ctx, precise(x))
    scaled = numbers.apply("Mul", ctx.cast(rois, numbers.dtype), ctx.attr("spatial_scale"))
    if half:
        scaled = numbers.apply("Sub", scaled, 0.5)
    axes = []
    for axis, (size, count) in enumerate(zip(x.shape[2:], counts, strict=True)):
        begin, end = (slice_axis(ctx, scaled, 1, column, 1) for column in (1 - axis, 3 - axis))
        reach = ctx.one("Sub", end, begin)
        if not half:  # malformed regions are taken to be of one pixel
            reach = numbers.apply("Max", reach, 1)
        axes.append(_Regions(begin, reach, count, size))
    first = ctx.reshape(ctx.cast(images, DType.I32), (rois.shape[0], 1, 1))
    first = numbers.apply("Mul", first, product(x.shape[2:]))
    rows = channels_in_rows(ctx, x)
    pooled = (
        _fixed(ctx, rows, first, axes, mode, ratio) if ratio > 0 else _by_size(ctx, rows, first, axes, mode)
    )
    return ctx.one("Transpose", ctx.cast(pooled, x.dtype), perm=(0, 3, 1, 2))


def _fixed(
    ctx: NodeContext, rows: Value, first: Value, axes: Sequence[_Regions], mode: str, ratio: int
) -> Value:
    """As many samples along each axis of a bin as `ratio` says: [regions, rows, columns, channels]."""
    numbers = Math(ctx, axes[0].begin.dtype)
    taps = []
    for axis, regions in enumerate(axes):
        count = regions.bins * ratio
        place = positions(numbers, [(1, 0, 1), (count, 0, 1)], numbers.dtype)
        place = numbers.apply("Div", numbers.apply("Add", place, 0.5), count)
        taps.append(_taps(numbers, _along(numbers, regions, place, axis), regions.size))
    terms = corners_of(numbers, rows, first, [r.size for r in axes], taps)
    shape = (first.shape[0], axes[0].bins, ratio, axes[1].bins, ratio, rows.shape[1])
    if mode == "avg":
        return ctx.one("ReduceMean", ctx.reshape(total(ctx, terms), shape), axes=(2, 4), keepdims=False)
    return ctx.one("ReduceMax", ctx.reshape(_largest(ctx, terms), shape), axes=(2, 4), keepdims=False)


def _by_size(ctx: NodeContext, rows: Value, first: Value, axes: Sequence[_Regions], mode: str) -> Value:
    """The same with a sample for each pixel of a bin that has begun, as many as each region has.

    The largest region decides how often a loop runs; a step takes one sample of each bin.
    """
    numbers = Math(ctx, axes[0].begin.dtype)
    bins = [numbers.apply("Div", r.reach, r.bins) for r in axes]
    counts = [numbers.apply("Max", ctx.one("Ceil", b), 0) for b in bins]
    most = [numbers.whole(ctx.one("ReduceMax", c, axes=(0, 1), keepdims=False)) for c in counts]
    shape = (first.shape[0], *(r.bins for r in axes), rows.shape[1])
    start = ctx.one("Expand", numbers.number(0.0 if mode == "avg" else -float("inf")), shape=shape)
    around = [rows, first, most[1], *counts, *(v for r in axes for v in (r.begin, r.reach))]

    def step(
        inner: NodeContext, number: Value, carried: Sequence[Value], inside: Sequence[Value]
    ) -> list[Value]:
        held = Math(inner, numbers.dtype)
        rows, first, columns, *values = inside
        row = inner.one("Div", number, columns)
        at = row, inner.one("Sub", number, inner.one("Mul", row, columns))
        taps, has = [], list[Value]()
        for axis, (regions, sample) in enumerate(zip(axes, at, strict=True)):
            count, (begin, reach) = values[axis], values[2 + 2 * axis : 4 + 2 * axis]
            sample = inner.cast(sample, held.dtype)
            part = inner.one("Div", held.apply("Add", sample, 0.5), held.apply("Max", count, 1))
            place = inner.one("Add", positions(held, [(1, 0, 1), (regions.bins, 0, 1)], held.dtype), part)
            regions = replace(regions, begin=begin, reach=reach)
            place = _along(held, regions, held.apply("Div", place, regions.bins), axis)
            has.append(inner.reshape(inner.one("Less", sample, count), (first.shape[0], 1, 1, 1)))
            taps.append(_taps(held, place, regions.size))
        terms = corners_of(held, rows, first, [r.size for r in axes], taps)
        if mode == "avg":
            taken = inner.one("Add", carried[0], total(inner, terms))
        else:
            taken = inner.one("Max", carried[0], _largest(inner, terms))
        return [inner.one("Where", inner.one("And", *has), taken, carried[0])]

    (summed,) = repeated(ctx, ctx.one("Mul", *most), [start], around, step)
    samples = ctx.reshape(ctx.one("Mul", *counts), (first.shape[0], 1, 1, 1))
    if mode == "avg":
        return ctx.one("Div", summed, numbers.apply("Max", samples, 1))
    return ctx.one("Where", numbers.apply("Greater", samples, 0), summed, numbers.number(0.0))


def _along(numbers: Math, regions: _Regions, part: Value, axis: int) -> Value:
    """Coordinates of places, told as parts of regions, [regions or 1, n], along this axis of the result."""
    place = numbers.ctx.one("Add", regions.begin, numbers.ctx.one("Mul", part, regions.reach))
    count, points = place.shape
    return numbers.ctx.reshape(place, (count, points, 1) if axis == 0 else (count, 1, points))


def _largest(ctx: NodeContext, terms: Sequence[Value]) -> Value:
    return functools.reduce(lambda a, b: ctx.one("Max", a, b), terms)


def _taps(numbers: Math, place: Value, size: Dim) -> list[Tap]:
    """Up to a pixel outside counts as the edge, further away as zero."""
    ctx = numbers.ctx
    valid = ctx.one(
        "And", numbers.apply("GreaterOrEqual", place, -1), numbers.apply("LessOrEqual", place, size)
    )
    place = numbers.clip(place, 0, size - 1)
    first = ctx.one("Floor", place)
    part = ctx.one("Sub", place, first)
    second = numbers.apply("Min", numbers.apply("Add", first, 1), size - 1)
    rest = ctx.one("Sub", numbers.number(1), part)
    return [Tap(numbers.whole(first), rest, valid), Tap(numbers.whole(second), part, valid)]


# ------------------------------------------------------------------------------ largest elements


@handles("MaxRoiPool")
def max_roi_pool(ctx: NodeContext) -> Value:
    """The largest element in each bin of regions of whole pixels, both ends included; 0 where a bin has none.

    Bins are bounded by exact fractions of a region: ONNX Runtime's, of float32, now and then reach a pixel
    further. Bounds of regions are rounded half away from zero, and held within 2**23 pixels.
    """
    x, rois = ctx.input(0), ctx.input(1)
    bins, scale = tuple(ctx.required("pooled_shape")), ctx.attr("spatial_scale")
    if x.rank != 4 or rois.rank != 2 or rois.shape[1] != 5 or len(bins) != 2 or min(bins) < 1:
        ctx.invalid(f"regions {rois.shape} of an input {x.shape} in bins {bins}")
    if max(bins) > _MOST_BINS:
        ctx.fail(f"pooled_shape {bins} has more than {_MOST_BINS} bins along an axis")
    numbers = Math(ctx, DType.F64 if x.dtype is DType.F64 else DType.F32)
    given = ctx.cast(rois, numbers.dtype)
    scaled = numbers.clip(numbers.apply("Mul", given, scale), -(2**23), 2**23)
    bounds = ctx.cast(_half_away(numbers, scaled), DType.I32)
    images = ctx.cast(ctx.reshape(slice_axis(ctx, given, 1, 0, 1), (rois.shape[0],)), DType.I32)
    found = ctx.one("Gather", x, images, axis=0)
    some: Value | None = None
    for axis, count in enumerate(bins):
        first, last = (slice_axis(ctx, bounds, 1, column, 1) for column in (2 - axis, 4 - axis))
        inside = _in_bins(Math(ctx, DType.I32), first, last, count, x.shape[2 + axis])
        found = _largest_in(ctx, found, inside, 2 + axis)
        reached = ctx.one("ReduceMax", ctx.cast(inside, DType.I32), axes=(2,), keepdims=False)
        reached = ctx.reshape(
            numbers.apply("Greater", reached, 0),
            (rois.shape[0], 1, *((count, 1) if axis == 0 else (1, count))),
        )
        some = reached if some is None else ctx.one("And", some, reached)
    assert some is not None
    return ctx.one("Where", some, found, ctx.like(0, found))


def _half_away(numbers: Math, x: Value) -> Value:
    """Rounded to whole numbers, halves away from zero."""
    size = numbers.ctx.one("Abs", x)
    whole = numbers.ctx.one("Floor", size)
    up = numbers.apply("GreaterOrEqual", numbers.apply("Sub", size, whole), 0.5)
    whole = numbers.ctx.one("Add", whole, numbers.ctx.cast(up, x.dtype))
    return numbers.ctx.one("Mul", whole, numbers.ctx.one("Sign", x))


def _in_bins(whole: Math, first: Value, last: Value, bins: int, size: Dim) -> Value:
    """Which elements of an axis each bin of each region has, bool [regions, bins, size]."""
    ctx = whole.ctx
    reach = whole.apply("Max", whole.apply("Add", ctx.one("Sub", last, first), 1), 1)
    number = ctx.one("Range", size=bins, dtype=DType.I32)
    begin = whole.apply("Div", ctx.one("Mul", number, reach), bins)
    ends = ctx.one("Mul", whole.apply("Add", number, 1), reach)
    end = whole.apply("Div", whole.apply("Add", ends, bins - 1), bins)
    begin, end = (ctx.one("Add", bound, first) for bound in (begin, end))
    begin, end = (ctx.reshape(bound, (*bound.shape, 1)) for bound in (begin, end))
    place = ctx.one("Range", size=size, dtype=DType.I32)
    return ctx.one("And", ctx.one("LessOrEqual", begin, place), ctx.one("Less", place, end))


def _largest_in(ctx: NodeContext, x: Value, inside: Value, axis: int) -> Value:
    """The largest elements along an axis of [regions, channels, rows, columns], one for each bin."""
    regions, bins, size = inside.shape
    spread = with_axis(ctx, x, axis)
    rest = (1,) * (x.rank - axis - 1)
    mask = ctx.reshape(inside, (regions, *(1,) * (axis - 1), bins, size, *rest))
    least = ctx.like(-float("inf"), x)
    return ctx.one("ReduceMax", ctx.one("Where", mask, spread, least), axes=(axis + 1,), keepdims=False)
