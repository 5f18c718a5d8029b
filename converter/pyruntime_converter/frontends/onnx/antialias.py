"""Resize with antialias along an axis whose sizes only the run knows: a product with weights made there."""

from __future__ import annotations

from pyruntime.ir.dims import Dim, ceildiv, maximum, minimum, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import NodeContext
from pyruntime_converter.frontends.onnx.fractions import COORDINATES, FedAxis, cubic_weight, split, taken
from pyruntime_converter.frontends.onnx.sampling import Math


def smoothed(
    ctx: NodeContext,
    x: Value,
    at: int,
    axis: FedAxis,
    coordinates: str,
    scale: Value,
    cubic: float | None,
    inside: bool,
) -> Value:
    """Each output element the mean of those about it, by a filter that is wider the smaller the axis becomes.

    How many those are hangs on the scale. So all elements get weights, most of them zero.

    Args:
        ctx: the node.
        x: what is resized.
        at: the axis.
        axis: its sizes.
        coordinates: where output elements lie.
        scale: what coordinates are divided by, a scalar.
        cubic: the cubic's coefficient; None for linear.
        inside: whether elements outside the axis do not count; else they are those at its ends.
    """
    numbers, integers = Math(ctx, scale.dtype), Math(ctx, DType.I32)
    place = COORDINATES[coordinates](axis)
    before, rest = (ctx.reshape(v, (axis.out, 1)) for v in split(ctx, axis, place))
    part = numbers.apply("Div", ctx.cast(rest, numbers.dtype), place.unit)
    reach: Dim = 0 if inside else _reach(axis, 1 if cubic is None else 2)
    count = axis.size + 2 * reach
    index = ctx.one("Range", start=-reach, size=count, dtype=DType.I32)
    distance = ctx.cast(integers.apply("Sub", index, before), numbers.dtype)
    distance = ctx.one("Abs", ctx.one("Sub", distance, part))
    distance = ctx.one("Mul", distance, numbers.apply("Min", scale, 1))
    weights = _triangle(numbers, distance) if cubic is None else _cubic(numbers, distance, cubic)
    weights = ctx.one("Div", weights, ctx.one("ReduceSum", weights, axes=(1,), keepdims=True))
    wide = x if reach == 0 else taken(ctx, x, at, axis.size, index)
    lead, trail = product(x.shape[:at]), product(x.shape[at + 1 :])
    mixed = ctx.one("MatMul", ctx.cast(weights, x.dtype), ctx.reshape(wide, (lead, count, trail)))
    return ctx.reshape(mixed, (*x.shape[:at], axis.out, *x.shape[at + 1 :]))


def _reach(axis: FedAxis, radius: int) -> Dim:
    """How far before its first and behind its last element an axis is looked at."""
    wide = ceildiv(axis.down * radius, minimum(axis.up, axis.down)) + 1
    return maximum(minimum(wide, axis.size * radius + 1), 0)  # nothing wider leaves an element


def _triangle(numbers: Math, distance: Value) -> Value:
    return numbers.apply("Max", numbers.ctx.one("Sub", numbers.number(1), distance), 0)


def _cubic(numbers: Math, distance: Value, a: float) -> Value:
    ctx = numbers.ctx
    near, far = (cubic_weight(ctx, distance, a, inner) for inner in (True, False))
    far = ctx.one("Where", numbers.apply("Less", distance, 2), far, numbers.number(0))
    return ctx.one("Where", numbers.apply("LessOrEqual", distance, 1), near, far)
