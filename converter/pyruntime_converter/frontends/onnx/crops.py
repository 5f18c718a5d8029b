"""Resize of a part of an axis (tf_crop_and_resize) whose ends, or whose size, only the run knows."""

from __future__ import annotations

from collections.abc import Callable

from pyruntime.ir.conditions import equal
from pyruntime.ir.dims import Dim, maximum
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import NodeContext
from pyruntime_converter.frontends.onnx.fractions import taken, weighted
from pyruntime_converter.frontends.onnx.sampling import Math

Ends = tuple[Value | float, Value | float]  # as parts of the whole axis
# nearest_mode: a coordinate to a whole number
_ROUNDINGS: dict[str, Callable[[Math, Value], Value]] = {
    "round_prefer_floor": lambda m, x: m.apply("Ceil", m.apply("Sub", x, 0.5)),
    "round_prefer_ceil": lambda m, x: m.apply("Floor", m.apply("Add", x, 0.5)),
    "floor": lambda m, x: m.apply("Floor", x),
    "ceil": lambda m, x: m.apply("Ceil", x),
}


def cropped(
    ctx: NodeContext,
    x: Value,
    at: int,
    out: Dim,
    exact: tuple[Dim, Dim],
    ends: Ends,
    nearest: str,
    cubic: float | None,
    inside: bool,
) -> tuple[Value, Value]:
    """`out` elements between the ends of an axis, and which of them lie outside the axis.

    Args:
        ctx: the node.
        x: what is resized.
        at: the axis.
        out: how many elements it gets.
        exact: the same before it was rounded, as a fraction.
        ends: where the first and the last one lie.
        nearest: how coordinates are rounded to elements; empty to interpolate.
        cubic: the cubic's coefficient; None for linear.
        inside: whether neighbours outside the axis do not count.
    """
    size = x.shape[at]
    numbers = Math(ctx, DType.F64 if x.dtype is DType.F64 else DType.F32)
    start, end = (ctx.cast(e, numbers.dtype) if isinstance(e, Value) else numbers.number(e) for e in ends)
    row = ctx.cast(ctx.one("Range", size=out, dtype=DType.I32), numbers.dtype)
    above, below = exact
    row = row if below == 1 else numbers.apply("Mul", row, below)
    steps = numbers.apply("Div", row, maximum(above - below, 1))
    # a single element lies in the middle
    middle = numbers.apply("Mul", numbers.number(equal(above, below)), 0.5)
    steps = ctx.one("Add", steps, middle)
    place = ctx.one("Add", start, ctx.one("Mul", steps, ctx.one("Sub", end, start)))
    place = numbers.apply("Mul", place, size - 1)
    outside = ctx.one("Or", numbers.apply("Less", place, 0), numbers.apply("Greater", place, size - 1))
    place = numbers.clip(place, -2, size + 1)  # so that it fits 32 bits
    if nearest:
        return taken(ctx, x, at, size, numbers.whole(_ROUNDINGS[nearest](numbers, place))), outside
    before = ctx.one("Floor", place)
    part = ctx.one("Sub", place, before)
    return weighted(ctx, x, at, numbers.whole(before), part, cubic, inside), outside
