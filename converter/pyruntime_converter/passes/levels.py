"""Quantises activations while a model runs: to 8 bits over the range that each row, pixel or image takes.

- Of a MatMul each row has a range of its own, from its least to its largest element: sentence encoders have
  rows in which one element is larger than all others together.
- Of a 1x1 Conv each pixel has one, of another Conv each image: from minus to plus the largest magnitude.
- Where what comes before (ReLU, GELU, sigmoid, ...) sets a lower bound, the range begins there.
- Where it sets both bounds (Clip, sigmoid, ...), the levels of a Conv's input are constant, and what makes
  the elements may store levels at once.

A row that holds NaN or infinity gives nothing finite, since its step is not. A row of zeros gives zeros.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Node, Value
from pyruntime.ops.builder import Builder
from pyruntime.ops.octets import limit_octets
from pyruntime.ops.quantization import limits
from pyruntime_converter.passes.patterns import number

MOST = 127  # levels are -127 to 127
_LARGEST = 255  # of constant levels, which begin at 0
LEAST = 1e-20  # smaller ranges count as this: numbers over it are finite
COARSER = (1.125, 1.25, 1.5, 2)  # steps that are tried for columns whose error grows by more than this:
TOLERABLE = 1.1


@dataclass(frozen=True)
class Activation:
    """x as step * (levels - zero) + middle.

    Attributes:
        levels: in int8 or uint8, of x's shape.
        step: of float32, with axes of size one where elements share it.
        zero: a scalar of the same type; None for nought.
        middle: what nought stands for, of `step`'s shape; None for nought.
    """

    levels: Value
    step: Value
    zero: Value | None = None
    middle: Value | None = None


def levels_of(
    weight: NDArray[np.float32], axes: tuple[int, ...], most: int
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """weight as integers from -most to most, and their steps; `axes` share one, and stay with size one."""
    wide = weight.astype(np.float64)
    step = np.maximum(np.abs(wide).max(axes, keepdims=True, initial=0), LEAST) / most
    single = step.astype(np.float32)
    return np.clip(np.rint(wide / single), -most, most).astype(np.int8), single


def octet_levels_of(weight: NDArray[np.float32], most: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """`levels_of` the columns of a matrix, which kernels may add by octets (see `ops.octets`).

    To fit, large neighbours of one sign become smaller. A column that loses much by that gets a coarser step.
    """
    whole, finest = levels_of(weight, (0,), most)
    levels, steps = limit_octets(whole[None], 1)[0], finest.copy()
    least, usual = _errors(levels, steps, weight), _errors(whole, steps, weight)
    for coarser in COARSER:
        (columns,) = np.nonzero(least > TOLERABLE * usual)
        part, step = weight[:, columns], finest[:, columns] * np.float32(coarser)
        tried = limit_octets(np.rint(part / step).astype(np.int8)[None], 1)[0]
        errors = _errors(tried, step, part)
        better = errors < least[columns]
        chosen = columns[better]
        levels[:, chosen], steps[:, chosen], least[chosen] = tried[:, better], step[:, better], errors[better]
    return levels, steps


def _errors(
    levels: NDArray[np.int8], steps: NDArray[np.float32], weight: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The sum of squares by which each column is off."""
    off = levels * steps - weight
    return np.asarray(np.square(off).sum(0))


def of_rows(builder: Builder, x: Value) -> Activation:
    """Each row of x over its range."""
    axes, low = (x.rank - 1,), lower_bound(x)
    return _between(builder, x, axes) if low is None else _from(builder, x, axes, low)


def bounds(x: Value) -> tuple[float, float] | None:
    """Numbers between which the elements of x lie, where what makes them tells."""
    low, high = lower_bound(x), upper_bound(x)
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return None
    return low, high


def of_bounded(builder: Builder, x: Value) -> Activation | None:
    """x in uint8 by constant levels, of which zero is one, where its elements have bounds."""
    found = bounds(x)
    if found is None:
        return None
    low, high = min(*found, 0.0), max(*found, 0.0)
    step = max(high - low, LEAST) / _LARGEST
    zero = builder.constant(round(-low / step), DType.U8)
    scale = builder.constant(step, DType.F32)
    return Activation(builder.one("Quantize", x, scale, zero), scale, zero)


def of_images(builder: Builder, x: Value, *, pointwise: bool, padded: bool) -> Activation:
    """Each pixel of x [n, c, ...], or each image, over its range; zero is a level where it is padded."""
    axes, low = ((1,) if pointwise else tuple(range(1, x.rank))), lower_bound(x)
    if low is None or (padded and low):
        return _around_zero(builder, x, axes)
    return _from(builder, x, axes, low)


def _around_zero(builder: Builder, x: Value, axes: tuple[int, ...]) -> Activation:
    largest = builder.one("ReduceMax", builder.one("Abs", x), axes=axes, keepdims=True)
    step = _step(builder, largest, MOST)
    return Activation(_levels(builder, x, step, 0), step)


def _from(builder: Builder, x: Value, axes: tuple[int, ...], low: float) -> Activation:
    """From a constant up."""
    largest = builder.one("ReduceMax", x, axes=axes, keepdims=True)
    if not low:
        step = _step(builder, largest, 2 * MOST)
        return Activation(_levels(builder, x, step, -MOST), step, builder.constant(-MOST, DType.I8))
    least = builder.constant(low, DType.F32)
    step = _step(builder, builder.one("Sub", largest, least), 2 * MOST)
    levels = _levels(builder, builder.one("Sub", x, least), step, -MOST)
    return Activation(levels, step, None, builder.one("Add", least, _reach(builder, step)))


def _between(builder: Builder, x: Value, axes: tuple[int, ...]) -> Activation:
    """From the least to the largest element."""
    largest, least = (builder.one(op, x, axes=axes, keepdims=True) for op in ("ReduceMax", "ReduceMin"))
    step = _step(builder, builder.one("Sub", largest, least), 2 * MOST)
    # the difference is exact, however small the range is beside the elements
    levels = _levels(builder, builder.one("Sub", x, largest), step, MOST)
    return Activation(levels, step, None, builder.one("Sub", largest, _reach(builder, step)))


def _reach(builder: Builder, step: Value) -> Value:
    """From the middle of the range to its ends."""
    return builder.one("Mul", step, builder.constant(MOST, DType.F32))


def _step(builder: Builder, reach: Value, count: int) -> Value:
    bounded = builder.one("Max", reach, builder.constant(LEAST, DType.F32))
    return builder.one("Mul", bounded, builder.constant(1 / count, DType.F32))


def _levels(builder: Builder, x: Value, step: Value, zero: int) -> Value:
    levels = builder.one("Round", builder.one("Mul", x, builder.one("Reciprocal", step)))
    if zero:
        levels = builder.one("Add", levels, builder.constant(zero, DType.F32))
    # none is beyond, but kernels take what is clipped for levels, of which NaN may give any
    for op, end in zip(("Max", "Min"), limits(DType.I8), strict=True):
        levels = builder.one(op, levels, builder.constant(end, DType.F32))
    return builder.one("Cast", levels, to=DType.I8)


# what these give is never less, whatever they are given
_BOUNDS: dict[str, float] = {
    **dict.fromkeys(("Relu", "Sigmoid", "HardSigmoid", "Softplus", "Exp", "Abs", "Sqrt", "Softmax"), 0.0),
    "Gelu": -0.1701,
    "HardSwish": -0.375,
    "Mish": -0.3089,
}
_SWISH = -0.2785  # of alpha = 1
_MOVES = frozenset(
    {"Reshape", "Transpose", "Slice", "Expand", "MaxPool", "AveragePool", "ReduceMean", "ReduceMax"}
)


def lower_bound(value: Value, depth: int = 8) -> float | None:
    """A number that no element of value is below, where the ops that make it tell."""
    node = value.producer
    if node is None or not depth:
        return None
    if node.op in _BOUNDS:
        return _BOUNDS[node.op]
    if node.op == "Swish":
        return _SWISH / node.attrs["alpha"] if node.attrs["alpha"] > 0 else None
    if node.op == "Max":
        return max((n for n in map(number, node.inputs) if n is not None), default=None)
    if node.op == "Min":
        return _least_of(node, depth)
    if node.op in _MOVES:
        return lower_bound(node.input(0), depth - 1)
    if node.op in ("Add", "Mul", "Concat"):
        found = [lower_bound(v, depth - 1) for v in node.inputs if v is not None]
        return 0.0 if all(f is not None and f >= 0 for f in found) else None
    return None


_TOPS: dict[str, float] = dict.fromkeys(("Sigmoid", "HardSigmoid", "Softmax", "Tanh"), 1.0)


def upper_bound(value: Value, depth: int = 8) -> float | None:
    """A number that no element of value is above, where the ops that make it tell."""
    if (constant := number(value)) is not None:
        return constant
    node = value.producer
    if node is None or not depth:
        return None
    if node.op in _TOPS:
        return _TOPS[node.op]
    if node.op in _MOVES or node.op == "Relu":
        found = upper_bound(node.input(0), depth - 1)
        return found if found is None or node.op != "Relu" else max(found, 0.0)
    if node.op not in ("Min", "Max", "Concat"):
        return None
    tops = [upper_bound(v, depth - 1) for v in node.inputs if v is not None]
    known = [t for t in tops if t is not None]
    if node.op == "Min":
        return min(known, default=None)
    return max(known) if known and len(known) == len(tops) else None


def _least_of(node: Node, depth: int) -> float | None:
    """Of Min, which Clip becomes: its constant, or the bound of the other operand."""
    found = [number(v) if v is not None and v.data is not None else None for v in node.inputs]
    bounds = [
        n if n is not None else lower_bound(v, depth - 1)
        for n, v in zip(found, node.inputs, strict=True)
        if v
    ]
    known = [b for b in bounds if b is not None]
    return min(known) if len(known) == len(bounds) else None
