"""Operators on shapes; their results are known as dims while the graph is built."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from pyruntime.ir.conditions import choose, equal, less, signed
from pyruntime.ir.dims import Dim, ceildiv, floordiv, maximum
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ops.builder import CONTENTS_LIMIT
from pyruntime_converter.frontends.onnx.context import FIX_DIMS, NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import slice_range

_FINEST = 1 << 20  # the smallest fraction of one that symbolic lengths are counted in


@handles("Shape")
def shape(ctx: NodeContext) -> Value:
    """The input's dims from `start` to `end`."""
    x = ctx.input()
    start, end = ctx.attr("start") or 0, ctx.attr("end")
    first, count = slice_range(start, x.rank if end is None else end, 1, x.rank)
    assert isinstance(first, int)
    assert isinstance(count, int)
    return ctx.builder.dims(x.shape[first : first + count])


@handles("Size")
def size(ctx: NodeContext) -> Value:
    """The input's number of elements."""
    return ctx.builder.dims(ctx.input().elements)


@handles("Range")
def number_range(ctx: NodeContext) -> Value:
    """start, start + delta, ... below limit."""
    values = [ctx.input(i) for i in range(3)]
    dtype = values[0].dtype
    if all(v.data is not None for v in values):
        start, limit, delta = (ctx.scalar(v, "its bounds") for v in values)
        if delta == 0:
            ctx.invalid("delta is zero")
        count = ctx.limited(max(math.ceil((limit - start) / delta), 0), "it")
        steps = np.arange(count).astype(dtype.value)
        return ctx.builder.constant((start + steps * delta).astype(dtype.value))
    first, end, step = (_number(ctx, v) for v in values)
    if first is None or end is None or step is None:
        return _of_floats(ctx, values)
    # a common unit makes all three whole: the length is then exact
    unit = math.lcm(*(n.denominator for n in (first, end, step) if isinstance(n, Fraction)))
    stride = _scaled(step, unit)
    if unit > _FINEST:
        ctx.fail(f"its length by steps of {step} depends on the input sizes", FIX_DIMS)
    if stride == 0:
        ctx.invalid("delta is zero")
    span = _scaled(end, unit) - _scaled(first, unit)
    if not isinstance(stride, int):
        ctx.require(1 - equal(stride, 0), "its delta must not be zero")
        span = choose(less(0, stride), span, -span)
        size = maximum(ceildiv(span, maximum(maximum(stride, -stride), 1)), 0)
    else:
        size = maximum(ceildiv(span, stride), 0)
    if isinstance(size, int) and size <= CONTENTS_LIMIT and dtype in (DType.I32, DType.I64):
        return ctx.builder.dims([_scaled(first, 1) + i * stride for i in range(size)], dtype)
    plain = {
        name: float(n) if isinstance(n, Fraction) else n for name, n in (("start", first), ("step", step))
    }
    if dtype is DType.I64 and any(signed(n) for n in (first, step) if not isinstance(n, Fraction)):
        # every target counts in 32 bits
        most = maximum(maximum(_scaled(first, 1), -_scaled(first, 1)), maximum(stride, -stride) * size)
        ctx.require(less(most, 2**30), "its numbers must fit 32 bits")
        return ctx.cast(ctx.one("Range", **plain, size=size, dtype=DType.I32), dtype)
    return ctx.one("Range", **plain, size=size, dtype=dtype)


def _of_floats(ctx: NodeContext, values: Sequence[Value]) -> Value:
    """A Range of floats, some of which are fed: their fractions tell the length, exactly."""
    start, _, delta = values
    what = "its length"
    ratios = [ratio for v in values for ratio in ctx.ratios(v, what)]
    if len(ratios) != len(values):
        ctx.invalid(f"bounds of {len(ratios)} elements in all")
    # the denominators are powers of two: the largest is one of all
    unit = functools.reduce(maximum, (r.below for r in ratios))
    most = floordiv(2**40, floordiv(unit, 2**8) + 1)  # 2^48 / unit is more: the Wasm module counts to 2^50
    for above, below in ratios:
        ctx.require(
            less(floordiv(maximum(above, -above), below), most),
            "its numbers have no unit in common that 48 bits count",
        )
    first, end, step = (above * floordiv(unit, below) for above, below in ratios)
    ctx.require(1 - equal(step, 0), "its delta must not be zero")
    span = choose(less(0, step), end - first, first - end)
    size = maximum(ceildiv(span, maximum(maximum(step, -step), 1)), 0)
    ctx.require(less(size, 2**31), f"{what} must be less than 2^31")
    row = ctx.cast(ctx.one("Range", size=size, dtype=DType.I32), start.dtype)
    return ctx.one("Add", ctx.reshape(start, ()), ctx.one("Mul", row, ctx.reshape(delta, ())))


def _number(ctx: NodeContext, value: Value) -> Dim | Fraction | None:
    """A bound of Range: a dim, also where it was converted to a float, or a constant; None for a float."""
    if value.data is not None:
        number = ctx.scalar(value, "its bounds")
        return int(number) if number == int(number) else Fraction(number)
    source = value.producer
    dims = ctx.contents(value)
    if dims is None and source is not None and source.op == "Cast" and value.dtype.is_float:
        dims = ctx.contents(source.input(0))
    if dims is None and value.dtype.is_float:
        return None
    if dims is None:
        ctx.fail("its length depends on the model's input data", FIX_DIMS)
    if len(dims) != 1:
        ctx.invalid(f"a bound of {len(dims)} elements")
    return dims[0]


def _scaled(number: Dim | Fraction, unit: int) -> Dim:
    return int(number * unit) if isinstance(number, Fraction) else number * unit
