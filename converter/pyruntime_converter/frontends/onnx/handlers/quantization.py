"""Quantising and dequantising, as arithmetic."""

from __future__ import annotations

import numpy as np

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.tensors import dtype_of


def _aligned(ctx: NodeContext, parameter: Value, x: Value) -> Value:
    """A scale or zero point per tensor as it is, per axis in a shape that broadcasts against x."""
    if ctx.attr("block_size"):
        ctx.fail("scales per block are not supported", "Quantise per tensor or per channel.")
    axis = ctx.attr("axis")
    if parameter.elements == 1:
        return ctx.reshape(parameter, ())
    if parameter.rank != 1:
        ctx.invalid(f"scale or zero point of shape {parameter.shape}")
    axis = ctx.axis(1 if axis is None else axis, x.rank)
    return ctx.reshape(parameter, (*parameter.shape, *[1] * (x.rank - axis - 1)))


@handles("DequantizeLinear")
def dequantize(ctx: NodeContext) -> Value:
    """(x - zero point) * scale."""
    x, scale, zero = ctx.input(0), ctx.input(1), ctx.optional(2)
    ctx.attr("axis")
    to = dtype_of(ctx.attr("output_dtype"), ctx.name) if ctx.attr("output_dtype") else scale.dtype
    factor = _aligned(ctx, scale, x)
    if zero is not None:
        wide = DType.I32 if x.dtype.bits <= 16 else x.dtype
        x = ctx.one("Sub", ctx.cast(x, wide), ctx.cast(_aligned(ctx, zero, x), wide))
    return ctx.cast(ctx.one("Mul", ctx.cast(x, scale.dtype), factor), to)


@handles("QuantizeLinear")
def quantize(ctx: NodeContext) -> Value:
    """x / scale rounded to even, plus the zero point, saturated to the type's range."""
    x, scale, zero = ctx.input(0), ctx.input(1), ctx.optional(2)
    ctx.attr("saturate")  # concerns 8-bit floats only
    ctx.attr("axis")
    if ctx.attr("precision"):
        ctx.fail(f"precision {ctx.attr('precision')} is not supported")
    stated = ctx.attr("output_dtype")
    dtype = zero.dtype if zero is not None else dtype_of(stated, ctx.name) if stated else DType.U8
    if not dtype.is_integer or dtype.bits > 16:
        ctx.fail(f"quantising to {dtype!r} is not supported")
    factor = _aligned(ctx, scale, x)
    levels = ctx.one("Round", ctx.one("Div", ctx.cast(x, scale.dtype), factor))
    if zero is not None:
        levels = ctx.one("Add", levels, ctx.cast(_aligned(ctx, zero, x), scale.dtype))
    limits = np.iinfo(dtype.value)
    low, high = ctx.like(int(limits.min), levels), ctx.like(int(limits.max), levels)
    return ctx.cast(ctx.one("Min", ctx.one("Max", levels, low), high), dtype)
