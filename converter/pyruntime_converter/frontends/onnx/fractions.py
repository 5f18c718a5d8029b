"""Resize along an axis whose sizes only the run knows: coordinates are fractions of dims, exact."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from pyruntime.ir.conditions import choose, equal, less
from pyruntime.ir.dims import Dim, ceildiv, floordiv, maximum, mod
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import NodeContext
from pyruntime_converter.frontends.onnx.sampling import Math

LONGEST = 2**20  # elements of an axis: their numbers times a fraction are off by less than 3/4 in float32
_FINEST = 2**29  # of a unit, of which what is left over may be three


@dataclass(frozen=True)
class Fraction:
    """(step * i + first) / unit: where in the input output element i lies; floored, which one it takes."""

    step: Dim
    first: Dim
    unit: Dim


@dataclass(frozen=True)
class FedAxis:
    """An axis of `size` that becomes one of `out`; coordinates are divided by a scale of up / down.

    `exact`, another fraction, is the output's size before it is rounded.
    """

    size: Dim
    out: Dim
    up: Dim
    down: Dim
    exact: tuple[Dim, Dim]


def _half_pixel(axis: FedAxis) -> Fraction:
    return Fraction(axis.down * 2, axis.down - axis.up, axis.up * 2)


def _pytorch_half_pixel(axis: FedAxis) -> Fraction:
    one, plain = equal(*axis.exact), _half_pixel(axis)
    return Fraction(choose(one, 0, plain.step), choose(one, -axis.up, plain.first), plain.unit)


def _half_pixel_symmetric(axis: FedAxis) -> Fraction:
    plain = _half_pixel(axis)
    return Fraction(plain.step, plain.first + axis.size * axis.up - axis.out * axis.down, plain.unit)


def _align_corners(axis: FedAxis) -> Fraction:
    above, below = axis.exact
    step = choose(equal(above, below), 0, (axis.size - 1) * below)
    return Fraction(step, 0, maximum(above - below, 1)) if below == 1 else _coarser(step, above - below)


def _coarser(step: Dim, unit: Dim) -> Fraction:
    """step / unit, both divided by what leaves the unit 29 bits.

    Only fine scales of large sizes have more: then a coordinate is off by 2^-28 for each element before it.
    """
    by = maximum(ceildiv(unit, _FINEST), 1)
    return Fraction(floordiv(step, by), 0, maximum(floordiv(unit, by), 1))


# coordinate_transformation_mode, but for crops
COORDINATES: dict[str, Callable[[FedAxis], Fraction]] = {
    "half_pixel": _half_pixel,
    "half_pixel_symmetric": _half_pixel_symmetric,
    "pytorch_half_pixel": _pytorch_half_pixel,
    "align_corners": _align_corners,
    "asymmetric": lambda axis: Fraction(axis.down, 0, axis.up),
    "tf_half_pixel_for_nn": lambda axis: Fraction(axis.down * 2, axis.down, axis.up * 2),
}
# nearest_mode: a coordinate to one whose floor is the index
ROUNDINGS: dict[str, Callable[[FedAxis, Fraction], Fraction]] = {
    "round_prefer_floor": lambda _, x: Fraction(x.step * 2, x.first * 2 + x.unit - 1, x.unit * 2),
    "round_prefer_ceil": lambda _, x: Fraction(x.step * 2, x.first * 2 + x.unit, x.unit * 2),
    "floor": lambda _, x: x,
    "ceil": lambda _, x: Fraction(x.step, x.first + x.unit - 1, x.unit),
    "simple": lambda axis, x: Fraction(x.step, x.first + less(axis.up, axis.down) * (x.unit - 1), x.unit),
}


def nearest(ctx: NodeContext, x: Value, at: int, axis: FedAxis, coordinates: str, rounding: str) -> Value:
    """Each output element the input element nearest to it."""
    index, _ = split(ctx, axis, ROUNDINGS[rounding](axis, COORDINATES[coordinates](axis)))
    return taken(ctx, x, at, axis.size, index)


def interpolated(
    ctx: NodeContext, x: Value, at: int, axis: FedAxis, coordinates: str, cubic: float | None, inside: bool
) -> Value:
    """Each output element between its two neighbours, or its four by a cubic; those `inside` alone if so."""
    place = COORDINATES[coordinates](axis)
    before, rest = split(ctx, axis, place)
    numbers = Math(ctx, DType.F64 if x.dtype is DType.F64 else DType.F32)
    part = numbers.apply("Div", ctx.cast(rest, numbers.dtype), place.unit)
    return weighted(ctx, x, at, before, part, cubic, inside)


def weighted(
    ctx: NodeContext, x: Value, at: int, before: Value, part: Value, cubic: float | None, inside: bool
) -> Value:
    """What lies `part` of the way from the element `before`, int32, to the next one, for each of them."""
    size = x.shape[at]
    taps = []
    for offset in (0, 1) if cubic is None else (-1, 0, 1, 2):
        index = ctx.one("Add", before, ctx.builder.constant(offset, DType.I32))
        distance = ctx.one("Abs", ctx.one("Sub", part, ctx.like(offset, part)))
        weight = (
            _triangle(ctx, distance)
            if cubic is None
            else cubic_weight(ctx, distance, cubic, abs(offset - 0.5) < 1)
        )
        taps.append((index, _only_inside(ctx, index, size, weight) if inside else weight))
    if inside:
        total = functools.reduce(lambda a, b: ctx.one("Add", a, b), (weight for _, weight in taps))
        taps = [(index, ctx.one("Div", weight, total)) for index, weight in taps]
    column = (*before.shape, *(1 for _ in range(x.rank - at - 1)))
    parts = [
        ctx.one("Mul", taken(ctx, x, at, size, index), ctx.cast(ctx.reshape(weight, column), x.dtype))
        for index, weight in taps
    ]
    return functools.reduce(lambda a, b: ctx.one("Add", a, b), parts)


def split(ctx: NodeContext, axis: FedAxis, place: Fraction) -> tuple[Value, Value]:
    """Coordinates of all output elements, int32: floored, and what is left over of the unit. Exact.

    Integers of 32 bits do not hold the numerators. So float32 tells the quotient, or one or two less, and
    what is left over, which 32 bits hold whatever the products before it lose, tells how much.
    """
    reason = f"an axis of {axis.size} resized to {axis.out}, more than {LONGEST} elements"
    if not ctx.varies(axis.out):  # of those a bound was asked for
        ctx.require(1 - less(LONGEST, axis.out), reason)
    whole, step = floordiv(place.step, place.unit), mod(place.step, place.unit)
    start, first = floordiv(place.first, place.unit), mod(place.first, place.unit)
    numbers, integers = Math(ctx, DType.F32), Math(ctx, DType.I32)
    index = ctx.one("Range", size=axis.out, dtype=DType.I32)
    slope, offset = (numbers.apply("Div", numbers.number(n), place.unit) for n in (step, first))
    estimate = ctx.one("Add", ctx.one("Mul", ctx.cast(index, DType.F32), slope), offset)
    near = numbers.whole(ctx.one("Floor", numbers.apply("Sub", estimate, 0.75)))
    rest = integers.apply("Add", integers.apply("Mul", index, step), first)
    rest = ctx.one("Sub", rest, integers.apply("Mul", near, place.unit))
    base = ctx.one("Range", start=start, step=whole, size=axis.out, dtype=DType.I32)
    quotient = ctx.one("Add", ctx.one("Add", base, near), integers.apply("Div", rest, place.unit))
    return quotient, integers.apply("Mod", rest, place.unit)


def taken(ctx: NodeContext, x: Value, at: int, size: Dim, index: Value) -> Value:
    """Elements of an axis of x; those outside are the ones at its ends."""
    index = ctx.one("Max", index, ctx.builder.constant(0, DType.I32))
    return ctx.one("Gather", x, ctx.one("Min", index, ctx.builder.dims(size - 1, DType.I32)), axis=at)


def _only_inside(ctx: NodeContext, index: Value, size: Dim, weight: Value) -> Value:
    from_start = ctx.one("GreaterOrEqual", index, ctx.builder.constant(0, DType.I32))
    to_end = ctx.one("Less", index, ctx.builder.dims(size, DType.I32))
    return ctx.one("Where", ctx.one("And", from_start, to_end), weight, ctx.like(0, weight))


def _triangle(ctx: NodeContext, distance: Value) -> Value:
    return ctx.one("Sub", ctx.like(1, distance), distance)


def cubic_weight(ctx: NodeContext, distance: Value, a: float, near: bool) -> Value:
    """The cubic's weight, by its factors from the highest power on: up to a distance of 1, or beyond."""
    factors = (a + 2, -(a + 3), 0.0, 1.0) if near else (a, -5 * a, 8 * a, -4 * a)
    total = ctx.like(factors[0], distance)
    for factor in factors[1:]:
        total = ctx.one("Add", ctx.one("Mul", total, distance), ctx.like(factor, distance))
    return total
