"""Resize and Upsample: along each axis a sum of gathered elements with fixed weights."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.conditions import choose, less
from pyruntime.ir.dims import Dim, at_least, divides, floordiv, maximum
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ir.ratio import Ratio
from pyruntime_converter.frontends.onnx import fractions
from pyruntime_converter.frontends.onnx.antialias import smoothed
from pyruntime_converter.frontends.onnx.context import FIX_DIMS, NodeContext, handles
from pyruntime_converter.frontends.onnx.crops import Ends, cropped
from pyruntime_converter.frontends.onnx.handlers.common import repeated_along, slice_axis
from pyruntime_converter.frontends.onnx.resampling import (
    COORDINATES,
    ROUNDINGS,
    SINGLE,
    Axis,
    Indices,
    Taps,
    repeats,
    taps,
)
from pyruntime_converter.frontends.onnx.roundings import LARGEST_SCALED, meant, product, scaled
from pyruntime_converter.frontends.onnx.sampling import Math

_PRODUCT = 2**49  # more than any of a size and a fed denominator: the Wasm module counts to 2^50


@dataclass(frozen=True)
class _Method:
    mode: str
    coordinates: str
    nearest: str
    a: float = -0.75
    antialias: bool = False
    exclude_outside: bool = False
    extrapolation: float = 0.0

    def along(self, axis: Axis) -> Taps:
        return taps(
            axis,
            self.mode,
            self.coordinates,
            self.nearest,
            a=self.a,
            antialias=self.antialias,
            exclude_outside=self.exclude_outside,
        )


_Scale = float | tuple[Ratio, Value]  # a number, or what is fed, which is that fraction
_OLD_MODES = {"nearest": "nearest", "linear": "linear", "bilinear": "linear"}


@handles("Upsample")
def upsample(ctx: NodeContext) -> Value:
    """The first form of Resize: scales of height and width, of every axis, or as an input."""
    x = ctx.input()
    scales: Sequence[_Scale]
    if ctx.opset < 7 and not ctx.has("scales"):
        scales = [1.0] * (x.rank - 2) + [ctx.required("height_scale"), ctx.required("width_scale")]
    elif ctx.opset < 9:
        scales = list(ctx.required("scales"))
    else:
        scales = _scales(ctx, ctx.input(1))
    return _old(ctx, scales)


@handles("Resize", until=10)
def resize_10(ctx: NodeContext) -> Value:
    """Scales as an input, and one way to map coordinates."""
    return _old(ctx, _scales(ctx, ctx.input(1)))


def _old(ctx: NodeContext, scales: Sequence[_Scale]) -> Value:
    x = ctx.input()
    method = _Method(_OLD_MODES[ctx.choice("mode", *_OLD_MODES)], "asymmetric", "simple")
    return _resized(ctx, x, method, _by_scales(ctx, x, scales, range(x.rank), _whole_image(x)))


@handles("Resize", since=11)
def resize(ctx: NodeContext) -> Value:
    """Scales or sizes as inputs; roi only matters for crops."""
    x, roi, scales, sizes = ctx.input(0), ctx.optional(1), ctx.optional(2), ctx.optional(3)
    method = _Method(
        ctx.choice("mode", "nearest", "linear", "cubic"),
        ctx.choice("coordinate_transformation_mode", *COORDINATES),
        ctx.choice("nearest_mode", *(name for name in ROUNDINGS if name != "simple")),
        ctx.attr("cubic_coeff_a"),
        bool(ctx.attr("antialias")),
        bool(ctx.attr("exclude_outside")),
        ctx.attr("extrapolation_value"),
    )
    stated = ctx.attr("axes")
    axes = ctx.axes(range(x.rank) if stated is None else stated, x.rank)
    policy = ctx.choice("keep_aspect_ratio_policy", "stretch", "not_larger", "not_smaller")
    crop: Sequence[Value | float] = [0.0] * len(axes) + [1.0] * len(axes)
    if method.coordinates == "tf_crop_and_resize" and roi is not None:
        crop = _ends(ctx, roi, 2 * len(axes))
    rois = list(zip(crop[: len(axes)], crop[len(axes) :], strict=True))
    # an empty tensor stands for an absent input in opset 11
    if scales is not None and scales.elements != 0:
        return _resized(ctx, x, method, _by_scales(ctx, x, _scales(ctx, scales), axes, rois))
    if sizes is None:
        ctx.invalid("it has neither scales nor sizes")
    return _resized(ctx, x, method, _by_sizes(ctx, x, _sizes(ctx, sizes), axes, rois, policy))


def _scales(ctx: NodeContext, value: Value) -> Sequence[_Scale]:
    """Scales: numbers, or what is fed."""
    if value.data is not None:
        return _floats(value.data)
    ratios = ctx.ratios(value, "its scales", quotients=True)
    return [(r, ctx.reshape(slice_axis(ctx, value, 0, i, 1), ())) for i, r in enumerate(ratios)]


def _floats(data: NDArray[Any]) -> list[float]:
    return [float(v) for v in data.flat]


def _ends(ctx: NodeContext, roi: Value, count: int) -> Sequence[Value | float]:
    """Where a crop begins and ends along each axis: numbers, or scalars that only the run knows."""
    if roi.shape != (count,):
        ctx.invalid(f"a roi of shape {roi.shape}, not of {count} numbers")
    if roi.data is not None:
        return _floats(roi.data)
    return [ctx.reshape(slice_axis(ctx, roi, 0, i, 1), ()) for i in range(count)]


def _sizes(ctx: NodeContext, value: Value) -> list[Dim]:
    """Stated sizes; those that only the run knows are at least 1, unless it computes them."""
    sizes = []
    for size in ctx.computed_sizes(value, "its sizes", fractions.LONGEST):
        if ctx.varies(size):
            sizes.append(size)
            continue
        if not at_least(size, 1):
            ctx.require(less(0, size), "its sizes must be at least 1")
        sizes.append(size if isinstance(size, int) else maximum(size, 1))
    return sizes


def _whole_image(x: Value) -> list[Ends]:
    return [(0.0, 1.0)] * x.rank


@dataclass(frozen=True)
class _Step:
    """What is asked for along one axis; without a scale it follows from the sizes."""

    at: int
    out: Dim
    scale: float | None
    roi: Ends
    ratio: tuple[Dim, Dim] | None = None  # the same scale as a fraction
    fed: Value | None = None  # the same where it is fed
    meant: tuple[Dim, Dim] | None = None  # the fraction that it was rounded from, where it is stated


def _by_scales(
    ctx: NodeContext,
    x: Value,
    scales: Sequence[_Scale],
    axes: Sequence[int],
    rois: Sequence[Ends],
) -> list[_Step]:
    if len(scales) != len(axes) or not all(isinstance(s, tuple) or 0 < s < math.inf for s in scales):
        ctx.invalid(f"scales {tuple(scales)} for {len(axes)} axes")
    steps = []
    for at, scale, roi in zip(axes, scales, rois, strict=True):
        size = x.shape[at]
        if isinstance(scale, tuple):
            ratio = _checked(ctx, scale[0], size)
            steps.append(_Step(at, floordiv(size * ratio.above, ratio.below), None, roi, ratio, scale[1]))
            continue
        up, down = scale.as_integer_ratio()
        if not isinstance(size, int) and down > 1:
            if down > _PRODUCT:
                ctx.fail(f"its scale of {scale} is too fine for sizes that depend on the input", FIX_DIMS)
            _checked(ctx, Ratio(up, down), size)
            ctx.require(
                less(size, LARGEST_SCALED + 1), f"a scale of {scale} is for at most {LARGEST_SCALED} elements"
            )
        out = scaled(size, scale, fractions.LONGEST)
        steps.append(_Step(at, out, scale, roi, Ratio(up, down), meant=meant(scale)))
    return steps


def _checked(ctx: NodeContext, scale: Ratio, size: Dim) -> Ratio:
    """A scale, for inputs whose sizes, and which itself where it is fed, the targets can count with."""
    above = maximum(scale.above, 1)
    ctx.require(less(0, scale.above), "its scales must be more than 0")
    longest, finest = (floordiv(n, maximum(size, 1)) for n in (fractions.LONGEST, _PRODUCT))
    holds = less(size, 2**26) * less(floordiv(above, scale.below), longest + 1) * less(scale.below, finest)
    limits = f"give at most {fractions.LONGEST} elements, and be a multiple of {size}/2^49"
    ctx.require(holds, f"a scale must {limits}")
    return Ratio(above, scale.below)


def _by_sizes(
    ctx: NodeContext,
    x: Value,
    sizes: Sequence[Dim],
    axes: Sequence[int],
    rois: Sequence[Ends],
    policy: str,
) -> list[_Step]:
    if len(sizes) != len(axes):
        ctx.invalid(f"sizes {tuple(sizes)} for {len(axes)} axes")
    if policy == "stretch":
        return [_Step(at, out, None, roi) for at, out, roi in zip(axes, sizes, rois, strict=True)]
    stated = list(zip(axes, sizes, rois, strict=True))
    up, down = sizes[0], x.shape[axes[0]]
    for at, out, _ in stated[1:]:
        size = x.shape[at]
        pair = (out * down, up * size) if policy == "not_larger" else (up * size, out * down)
        ahead = less(*pair)
        up, down = maximum(choose(ahead, out, up), 1), maximum(choose(ahead, size, down), 1)
    scale = up / down if isinstance(up, int) and isinstance(down, int) and down else None
    return [
        _Step(at, floordiv(x.shape[at] * up * 2 + down, down * 2), scale, roi, (up, down))
        for at, _, roi in stated
    ]


def _resized(ctx: NodeContext, x: Value, method: _Method, steps: Sequence[_Step]) -> Value:
    """One axis after the other, in float32 where elements of other types are mixed."""
    dtype, outside = x.dtype, None
    if method.mode != "nearest" and not dtype.is_float:
        x = ctx.cast(x, DType.F32)
    for step in steps:
        size, at = x.shape[step.at], step.at
        if isinstance(size, int) and isinstance(step.out, int) and (not size or step.out < 0):
            ctx.invalid(f"an axis of {size} resized to {step.out}")
        ends = _known(step.roi)
        if isinstance(size, int) and isinstance(step.out, int) and ends is not None:
            ctx.limited(step.out, "an axis")
            scale = step.out / size if step.scale is None else step.scale
            stated = step.meant is not None
            exact = product(size, scale) if stated else step.out if step.scale is None else scale * size
            axis = Axis(size, step.out, scale, exact, ends, single=stated)
            made = method.along(axis)
            x = _combined(ctx, x, at, made)
            if made.outside.any():
                mask = ctx.reshape(ctx.builder.constant(made.outside), _column(x, at, step.out))
                outside = mask if outside is None else ctx.one("Or", outside, mask)
        elif method.coordinates == "tf_crop_and_resize" and (step.out != size or step.roi != (0.0, 1.0)):
            x, mask = _cropped(ctx, x, step, method)
            mask = ctx.reshape(mask, (step.out, *_column(x, at, 1)[1:]))
            outside = mask if outside is None else ctx.one("Or", outside, mask)
        elif step.out != size:
            x = _fed(ctx, x, step, method)
    if outside is not None:
        x = ctx.one("Where", outside, ctx.like(method.extrapolation, x), x)
    return ctx.cast(x, dtype)


def _known(ends: Ends) -> tuple[float, float] | None:
    start, end = ends
    return None if isinstance(start, Value) or isinstance(end, Value) else (start, end)


def _column(x: Value, at: int, size: int) -> tuple[int, ...]:
    """A shape that broadcasts one number for each element of an axis."""
    return (size, *[1] * (x.rank - at - 1))


def _combined(ctx: NodeContext, x: Value, at: int, made: Taps) -> Value:
    """The sum over taps of gathered elements times their weights."""
    out, count = made.indices.shape
    size = x.shape[at]
    assert isinstance(size, int)
    parts = []
    for k in range(count):
        indices, weights = made.indices[:, k], made.weights[:, k]
        if out and not weights.any():
            continue
        part = _picked(ctx, x, at, indices, size)
        if not (weights == 1).all():
            column = weights.astype(x.dtype.value).reshape(_column(x, at, out))
            part = ctx.one("Mul", part, ctx.builder.constant(column))
        parts.append(part)
    return functools.reduce(lambda a, b: ctx.one("Add", a, b), parts)


def _picked(ctx: NodeContext, x: Value, at: int, indices: Indices, size: int) -> Value:
    if np.array_equal(indices, np.arange(size)):
        return x
    times = repeats(indices, size)
    return (
        repeated_along(ctx, x, at, times)
        if times
        else ctx.one("Gather", x, ctx.builder.constant(indices), axis=at)
    )


def _fed(ctx: NodeContext, x: Value, step: _Step, method: _Method) -> Value:
    """An axis resized by sizes that only the run knows: repeated, where each element appears as often."""
    size, at = x.shape[step.at], step.at
    times = floordiv(step.out, size) if divides(size, step.out) else None
    whole = isinstance(times, int) and times >= 1 and step.roi == (0.0, 1.0)
    if isinstance(times, int) and whole and _repeats(method, times):
        return repeated_along(ctx, x, at, times)
    if method.coordinates not in fractions.COORDINATES:
        what = f"it resizes {size} to {step.out} with {method.coordinates}"
        ctx.fail(f"{what} in a way that depends on the input sizes", FIX_DIMS)
    up, down = step.ratio or (step.out, size)
    nearest = method.mode == "nearest"
    whole_up, whole_down = step.meant or (up, down)
    exact = (size * whole_up, whole_down) if step.ratio else (step.out, 1)
    # at ties float32, in which ONNX Runtime divides by the scale, gives what was meant
    if nearest and method.coordinates in SINGLE:
        up, down = whole_up, whole_down
    axis = fractions.FedAxis(size, step.out, up, down, exact)
    if nearest:
        return fractions.nearest(ctx, x, at, axis, method.coordinates, method.nearest)
    cubic = method.a if method.mode == "cubic" else None
    if method.antialias:
        scale = _scalar(ctx, step, up, down, DType.F64 if x.dtype is DType.F64 else DType.F32)
        return smoothed(ctx, x, at, axis, method.coordinates, scale, cubic, method.exclude_outside)
    return fractions.interpolated(ctx, x, at, axis, method.coordinates, cubic, method.exclude_outside)


def _scalar(ctx: NodeContext, step: _Step, up: Dim, down: Dim, dtype: DType) -> Value:
    """The scale up / down as a number."""
    if step.fed is not None:
        return ctx.cast(step.fed, dtype)
    numbers = Math(ctx, dtype)
    return numbers.number(step.scale) if step.scale else numbers.apply("Div", numbers.number(up), down)


def _cropped(ctx: NodeContext, x: Value, step: _Step, method: _Method) -> tuple[Value, Value]:
    """A part of an axis resized by numbers that only the run knows, and what of it lies outside."""
    if method.antialias:
        ctx.fail("it crops with antialias in a way that depends on the input", FIX_DIMS)
    size = x.shape[step.at]
    above, below = step.meant or step.ratio or (1, 1)
    exact = (size * above, below) if step.ratio else (step.out, 1)
    nearest = method.nearest if method.mode == "nearest" else ""
    cubic = method.a if method.mode == "cubic" else None
    return cropped(ctx, x, step.at, step.out, exact, step.roi, nearest, cubic, method.exclude_outside)


def _repeats(method: _Method, times: int) -> bool:
    """Whether growing by a whole factor repeats elements evenly; if it does for 7, it does for any."""
    taken = method.along(Axis(7, 7 * times, times, 7 * times)).indices
    return method.mode == "nearest" and repeats(taken[:, 0], 7) == times
