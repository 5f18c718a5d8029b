"""Values between the elements of an image: taps along each axis, gathered and weighted."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pyruntime.ir.dims import Dim, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import NodeContext

CUBIC = -0.75  # the coefficient that GridSample takes


def precise(*values: Value) -> DType:
    """The dtype that coordinates are computed in."""
    return DType.F64 if any(v.dtype is DType.F64 for v in values) else DType.F32


@dataclass(frozen=True)
class Tap:
    """One of the elements along an axis that a point is made of.

    Attributes:
        index: where it lies, int32, always inside the axis.
        weight: how much it counts; None for one.
        valid: whether it counts at all; None for always.
    """

    index: Value
    weight: Value | None = None
    valid: Value | None = None


class Math:
    """Arithmetic of the graph on values of one float dtype and on numbers, which may be dims."""

    def __init__(self, ctx: NodeContext, dtype: DType) -> None:
        self.ctx, self.dtype = ctx, dtype

    def number(self, value: Dim | float, dtype: DType | None = None) -> Value:
        """A scalar."""
        dtype = dtype or self.dtype
        if isinstance(value, (int, float)):
            return self.ctx.builder.constant(value, dtype)
        return self.ctx.cast(self.ctx.builder.dims(value, DType.I32), dtype)

    def apply(self, op: str, a: Value, *others: Value | Dim | float) -> Value:
        """An elementwise op of a and of values or numbers."""
        values = [b if isinstance(b, Value) else self.number(b, a.dtype) for b in others]
        return self.ctx.one(op, a, *values)

    def clip(self, x: Value, low: Dim | float, high: Dim | float) -> Value:
        """x, at least low and at most high."""
        return self.apply("Min", self.apply("Max", x, low), high)

    def whole(self, x: Value) -> Value:
        """x, whose elements are whole numbers, as int32."""
        return self.ctx.cast(x, DType.I32)

    def reflected(self, x: Value, low: float | Dim, reach: Dim) -> Value:
        """x mirrored to and fro at low and low + reach until it lies between them."""
        if reach == 0:
            return self.clip(x, low, low)
        from_low = self.ctx.one("Abs", self.apply("Sub", x, low))
        turns = self.ctx.one("Floor", self.apply("Div", from_low, reach))
        rest = self.ctx.one("Sub", from_low, self.apply("Mul", turns, reach))
        half = self.apply("Mul", turns, 0.5)
        even = self.ctx.one("Equal", half, self.ctx.one("Floor", half))
        back = self.ctx.one("Sub", self.number(reach), rest)
        return self.apply("Add", self.ctx.one("Where", even, rest, back), low)


def taps_along(numbers: Math, x: Value, size: Dim, mode: str, outside: str, *, corners: bool) -> list[Tap]:
    """The taps of coordinates x along an axis as GridSample defines them.

    With `corners` what lies outside begins at the centres of the last pixels, not at their edges.
    """
    ctx = numbers.ctx
    low: float | int = 0 if corners else -0.5
    reach = size - 1 if corners else size
    if mode == "nearest":
        x = ctx.one("Round", x)
    if outside != "zeros":
        end = numbers.apply("Add", numbers.number(reach), low)
        beyond = ctx.one("Or", numbers.apply("Less", x, low), ctx.one("Greater", x, end))
        inner = numbers.clip(x, 0, size - 1) if outside == "border" else numbers.reflected(x, low, reach)
        x = ctx.one("Where", beyond, inner, x)

    def tap(place: Value, weight: Value | None) -> Tap:
        valid = None
        if outside == "zeros":
            valid = ctx.one(
                "And", numbers.apply("GreaterOrEqual", place, 0), numbers.apply("Less", place, size)
            )
        elif outside == "reflection":
            place = ctx.one("Floor", numbers.reflected(place, low, reach))
        return Tap(numbers.whole(numbers.clip(place, 0, size - 1)), weight, valid)

    if mode == "nearest":
        return [tap(x, None)]
    first = ctx.one("Floor", x)
    part = ctx.one("Sub", x, first)
    if mode == "linear":
        rest = ctx.one("Sub", numbers.number(1), part)
        return [tap(first, rest), tap(numbers.apply("Add", first, 1), part)]
    return [
        tap(numbers.apply("Add", first, position), _cubic(numbers, part, position))
        for position in (-1, 0, 1, 2)
    ]


def _cubic(numbers: Math, part: Value, position: int) -> Value:
    """The weight of the element `position` from the one below a point, which lies `part` above that."""
    a = CUBIC
    distance = numbers.ctx.one("Abs", numbers.apply("Sub", part, position))
    near, far = (a + 2, -(a + 3), 0, 1), (a, -5 * a, 8 * a, -4 * a)
    first, *others = near if position in (0, 1) else far
    result = numbers.apply("Mul", distance, first)
    for k, coefficient in enumerate(others):
        result = numbers.apply("Add", result, coefficient)
        if k < len(others) - 1:
            result = numbers.ctx.one("Mul", result, distance)
    return result


def channels_in_rows(ctx: NodeContext, x: Value) -> Value:
    """x [n, c, spatial...] as a row of channels for each pixel, images one after the other."""
    last = ctx.one("Transpose", x, perm=(0, *range(2, x.rank), 1))
    return ctx.reshape(last, (product((x.shape[0], *x.shape[2:])), x.shape[1]))


def corners_of(
    numbers: Math, rows: Value, first: Value, sizes: Sequence[Dim], axes: Sequence[Sequence[Tap]]
) -> list[Value]:
    """For each choice of a tap along each axis its elements times its weight, zero where it does not count.

    Args:
        numbers: arithmetic in the dtype of the weights.
        rows: what `channels_in_rows` gives.
        first: for each point the first row of its image, int32.
        sizes: of the axes.
        axes: taps along each, whose values broadcast against each other.

    Returns:
        Values over (points..., channels).
    """
    ctx = numbers.ctx
    found = []
    for taps in itertools.product(*axes):
        index = first
        for axis, tap in enumerate(taps):
            step = numbers.apply("Mul", tap.index, product(tuple(sizes[axis + 1 :])))
            index = ctx.one("Add", index, step)
        value = ctx.one("Gather", rows, index, axis=0)
        weights = [t.weight for t in taps if t.weight is not None]
        if weights:
            weight = functools.reduce(_multiplied(ctx), weights)
            value = ctx.one("Mul", ctx.cast(value, numbers.dtype), by_channel(ctx, weight))
        valid = [t.valid for t in taps if t.valid is not None]
        if valid:
            counts = functools.reduce(lambda a, b: ctx.one("And", a, b), valid)
            value = ctx.one("Where", by_channel(ctx, counts), value, ctx.like(0, value))
        found.append(value)
    return found


def _multiplied(ctx: NodeContext) -> Callable[[Value, Value], Value]:
    return lambda a, b: ctx.one("Mul", a, b)


def by_channel(ctx: NodeContext, value: Value) -> Value:
    """A value over points, to be broadcast over channels."""
    return ctx.reshape(value, (*value.shape, 1))


def total(ctx: NodeContext, values: Sequence[Value]) -> Value:
    """The sum of values."""
    return functools.reduce(lambda a, b: ctx.one("Add", a, b), values)


def positions(numbers: Math, sizes: Sequence[tuple[Dim, Dim | float, int]], dtype: DType) -> Value:
    """The sum of start + index * step over axes that are given by size, start and step."""
    parts = []
    for axis, (size, start, step) in enumerate(sizes):
        line = numbers.ctx.one("Range", start=start, step=step, size=size, dtype=dtype)
        shape = tuple(size if a == axis else 1 for a in range(len(sizes)))
        parts.append(numbers.ctx.reshape(line, shape))
    return total(numbers.ctx, parts)
