"""Operators on shapes; their results are known as dims while the graph is built."""

from __future__ import annotations

import math

import numpy as np

from pyruntime.ir.graph import Value
from pyruntime.ops.builder import dims_of
from pyruntime_converter.frontends.onnx.context import FIX_DIMS, NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import slice_range


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
    for value in values:
        if value.data is None:
            on = "input data" if dims_of(value) is None else "input sizes"
            ctx.fail(f"its length depends on the model's {on}", FIX_DIMS)
    start, limit, delta = (ctx.scalar(v, "its bounds") for v in values)
    if delta == 0:
        ctx.invalid("delta is zero")
    count = ctx.limited(max(math.ceil((limit - start) / delta), 0), "it")
    steps = np.arange(count).astype(values[0].dtype.value)
    return ctx.builder.constant((start + steps * delta).astype(values[0].dtype.value))
