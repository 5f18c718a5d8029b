"""Quantising, dequantising, and products of integers: ONNX's own operators on 16 bits at most.

What is an operator between dequantising and quantising is written so; passes find the integer form.
"""

from __future__ import annotations

from pyruntime.ir.dims import divides, floordiv
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ops.codes import decoded_to
from pyruntime.ops.quantization import limits
from pyruntime.ops.widen import converted
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import (
    between_channels_last,
    repeated_along,
    slice_axis,
    with_axis,
)
from pyruntime_converter.frontends.onnx.handlers.convolution import convolved, geometry
from pyruntime_converter.frontends.onnx.handlers.matmul import product
from pyruntime_converter.frontends.onnx.tensors import dtype_of
from pyruntime_converter.integers import ACTIVATIONS, WEIGHTS, convolution
from pyruntime_converter.integers import product as integer_product

MICROSOFT = "com.microsoft"


def aligned(ctx: NodeContext, parameter: Value, x: Value, axis: int) -> Value:
    """A scale or zero point per tensor as a scalar, per axis in a shape that broadcasts against x."""
    if parameter.elements == 1:
        return ctx.reshape(parameter, ())
    if parameter.rank != 1:
        if parameter.rank == x.rank:
            return parameter
        ctx.invalid(f"scale or zero point of shape {parameter.shape}")
    axis = ctx.axis(axis, x.rank)
    return ctx.reshape(parameter, (*parameter.shape, *[1] * (x.rank - axis - 1)))


def _spread(ctx: NodeContext, x: Value, *parameters: Value | None) -> tuple[Value, list[Value | None]]:
    """x, where there are blocks with an axis for each, and parameters that broadcast against it."""
    stated, size = ctx.attr("axis"), ctx.attr("block_size")
    axis = 1 if stated is None else stated
    if not size:
        return x, [p if p is None else aligned(ctx, p, x, axis) for p in parameters]
    axis = ctx.axis(axis, x.rank)
    before, whole, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    for parameter in parameters:
        if parameter is not None and parameter.rank != x.rank:
            ctx.invalid(f"a scale or zero point of shape {parameter.shape} per block of {x.shape}")
    if divides(size, whole):
        x = ctx.reshape(x, (*before, floordiv(whole, size), size, *after))
        return x, [p if p is None else with_axis(ctx, p, axis + 1) for p in parameters]
    return x, [
        p if p is None else slice_axis(ctx, repeated_along(ctx, p, axis, size), axis, 0, whole)
        for p in parameters
    ]


def dequantized(ctx: NodeContext, first: int, axis: int = 0) -> Value:
    """Inputs `first` to `first` + 2 (integers or short floats, scale, perhaps a zero point) as floats."""
    x, scale, zero = ctx.input(first), ctx.input(first + 1), ctx.optional(first + 2)
    if x.dtype.is_float:  # zero points are zero there
        wide = ctx.cast(aligned(ctx, scale, x, axis), DType.F32)
        return ctx.cast(ctx.one("Mul", ctx.cast(x, DType.F32), wide), scale.dtype)
    operands = [aligned(ctx, p, x, axis) for p in (scale, zero) if p is not None]
    return ctx.one("Dequantize", x, *operands)


def _quantizes(dtype: DType) -> bool:
    """Whether floats can be quantised to a type."""
    if dtype.is_float:
        return dtype.width <= 8 and dtype is not DType.F8E8M0
    return dtype.is_integer and dtype.width <= 16


def _to_short(
    ctx: NodeContext, x: Value, scale: Value, zero: Value | None, dtype: DType, *, saturate: bool
) -> Value:
    """x / scale, plus a zero point, as a type shorter than a byte or an 8-bit float; operands broadcast."""
    if dtype.is_float:  # zero points of 8-bit floats are zero
        levels = ctx.one("Div", ctx.cast(x, DType.F32), ctx.cast(scale, DType.F32))
        if zero is not None and dtype.width < 8:
            levels = ctx.one("Add", levels, ctx.cast(zero, DType.F32))
        return converted(ctx.builder, levels, dtype, saturate=saturate)
    wide = decoded_to(dtype)
    place = ctx.builder.constant(0, wide) if zero is None else ctx.cast(zero, wide)
    levels = ctx.one("Quantize", x, scale, place)
    low, high = limits(dtype)
    within = ctx.one("Min", ctx.one("Max", levels, ctx.like(low, levels)), ctx.like(high, levels))
    return ctx.cast(within, dtype)


def quantized(ctx: NodeContext, x: Value, scale: Value, zero: Value | None, axis: int = 0) -> Value:
    """x as integers or short floats of the zero point's type, by default uint8."""
    zero = ctx.builder.constant(0, DType.U8) if zero is None else zero
    if zero.dtype.is_float and _quantizes(zero.dtype):
        return _to_short(ctx, x, aligned(ctx, scale, x, axis), None, zero.dtype, saturate=True)
    if not zero.dtype.is_integer or zero.dtype.bits > 16:
        ctx.fail(f"quantising to {zero.dtype!r} is not supported")
    return ctx.one("Quantize", x, aligned(ctx, scale, x, axis), aligned(ctx, zero, x, axis))


@handles("DequantizeLinear")
@handles("DequantizeLinear", domain=MICROSOFT)
def dequantize(ctx: NodeContext) -> Value:
    """(x - zero point) * scale."""
    x, scale, zero = ctx.input(0), ctx.input(1), ctx.optional(2)
    if not x.dtype.is_integer and not _quantizes(x.dtype):
        ctx.fail(f"dequantising {x.dtype!r} is not supported")
    stated = ctx.attr("output_dtype")
    to = dtype_of(stated, ctx.name) if stated else scale.dtype
    if x.dtype.is_float:
        zero = None  # it is zero there
    if x.dtype.code:
        wide = decoded_to(x.dtype)
        x, zero = ctx.cast(x, wide), zero if zero is None else ctx.cast(zero, wide)
    if stated or scale.dtype.code or x.dtype.is_float:
        scale = ctx.cast(scale, DType.F64 if scale.dtype is DType.F64 else DType.F32)
    spread, (scale_, zero_) = _spread(ctx, x, scale, zero)
    assert scale_ is not None
    if x.dtype.is_float:
        result = ctx.one("Mul", ctx.cast(spread, scale.dtype), scale_)
    else:
        result = ctx.one("Dequantize", spread, scale_, *([] if zero_ is None else [zero_]))
    return ctx.cast(ctx.reshape(result, x.shape), to)


@handles("QuantizeLinear")
@handles("QuantizeLinear", domain=MICROSOFT)
def quantize(ctx: NodeContext) -> Value:
    """x / scale rounded to even, plus the zero point, saturated to the type's range."""
    x, scale, zero = ctx.input(0), ctx.input(1), ctx.optional(2)
    saturate = bool(ctx.attr("saturate"))  # concerns 8-bit floats only
    stated, shape = ctx.attr("output_dtype"), x.shape
    dtype = zero.dtype if zero is not None else dtype_of(stated, ctx.name) if stated else DType.U8
    if not _quantizes(dtype):
        ctx.fail(f"quantising to {dtype!r} is not supported")
    precision = ctx.attr("precision")
    if precision:
        scale = ctx.cast(scale, dtype_of(precision, ctx.name))
    x = ctx.cast(x, scale.dtype)
    x, (scale_, zero_) = _spread(ctx, x, scale, zero)
    assert scale_ is not None
    if precision:  # the quotient is rounded to it
        x, scale_ = ctx.one("Div", x, scale_), ctx.like(1, scale)
    if dtype.code:
        result = _to_short(ctx, x, scale_, zero_, dtype, saturate=saturate)
    else:
        zero_ = ctx.builder.constant(0, dtype) if zero_ is None else zero_
        result = ctx.one("Quantize", x, scale_, zero_)
    return ctx.reshape(result, shape)


def dynamic(ctx: NodeContext, x: Value) -> tuple[Value, Value, Value]:
    """x as uint8 over all its range and zero, with its scale and zero point."""
    zero, axes = ctx.like(0, x), tuple(range(x.rank))
    least, most = (
        ctx.one("Reshape", x, shape=()) if not axes else ctx.one(op, x, axes=axes, keepdims=False)
        for op in ("ReduceMin", "ReduceMax")
    )
    least = ctx.one("Min", least, zero)
    reach = ctx.one("Sub", ctx.one("Max", most, zero), least)
    steps = ctx.one("Div", reach, ctx.like(limits(DType.U8)[1], x))
    scale = ctx.one("Where", ctx.one("Equal", reach, zero), ctx.like(1, x), steps)
    place = ctx.one("Quantize", ctx.one("Neg", least), scale, ctx.builder.constant(0, DType.U8))
    return ctx.one("Quantize", x, scale, place), scale, place


@handles("DynamicQuantizeLinear")
def dynamic_quantize(ctx: NodeContext) -> list[Value]:
    """To uint8, by a scale and a zero point that cover the input and zero."""
    return list(dynamic(ctx, ctx.input()))


def short(ctx: NodeContext, *values: Value) -> None:
    """Raises UnsupportedError where a product's operands are not of 8 bits (the left one: 16)."""
    for value, allowed in zip(values, (ACTIVATIONS, WEIGHTS), strict=True):
        if value.dtype not in allowed:
            ctx.fail(f"products of {value.dtype!r} are not supported", "Quantise to int8 or uint8.")


def integer_matmul(ctx: NodeContext, a: Value, b: Value, zero_a: Value | None, zero_b: Value | None) -> Value:
    """(a - zero_a) @ (b - zero_b) in int32; zero points per row of a and per column of b."""
    short(ctx, a, b)
    if zero_a is not None and zero_a.rank == 1 and zero_a.elements != 1:
        zero_a = ctx.reshape(zero_a, (*zero_a.shape, 1))
    left = ctx.reshape(a, (1, *a.shape)) if a.rank == 1 else a
    right = ctx.reshape(b, (*b.shape, 1)) if b.rank == 1 else b
    result = integer_product(ctx.builder, left, right, zero_a, zero_b)
    shape = [d for i, d in enumerate(result.shape, -result.rank) if not dropped(i, a, b)]
    return ctx.reshape(result, shape)


def dropped(axis: int, a: Value, b: Value) -> bool:
    """Whether a product has no such axis (-2 or -1) because an operand is a vector."""
    return (axis == -2 and a.rank == 1) or (axis == -1 and b.rank == 1)


@handles("MatMulInteger")
def matmul_integer(ctx: NodeContext) -> Value:
    """A product of 8-bit integers, less their zero points, in 32 bits."""
    return integer_matmul(ctx, ctx.input(0), ctx.input(1), ctx.optional(2), ctx.optional(3))


@handles("ConvInteger")
def conv_integer(ctx: NodeContext) -> Value:
    """A convolution of 8-bit integers, less their zero points, in 32 bits."""
    x, w, zero_x, zero_w = ctx.input(0), ctx.input(1), ctx.optional(2), ctx.optional(3)
    short(ctx, x, w)
    if zero_w is not None:
        zero_w = aligned(ctx, zero_w, w, 0)
    zero_x = zero_x if zero_x is None else ctx.reshape(zero_x, ())
    return convolution(ctx.builder, x, w, zero_x, zero_w, geometry(ctx, x, w))


@handles("QLinearMatMul")
def qlinear_matmul(ctx: NodeContext) -> Value:
    """A product between dequantising, per row of a and per column of b, and quantising."""
    a, b = ctx.input(0), ctx.input(3)
    left = dequantized(ctx, 0, max(a.rank - 2, 0))
    right = dequantized(ctx, 3, b.rank - 1)
    result = product(ctx, left, right)
    return quantized(ctx, result, ctx.input(6), ctx.input(7), max(result.rank - 2, 0))


@handles("QLinearConv")
@handles("QLinearConv", domain=MICROSOFT)
def qlinear_conv(ctx: NodeContext) -> Value:
    """A convolution between dequantising, the weights per output channel, and quantising."""
    x, w, bias = dequantized(ctx, 0), dequantized(ctx, 3), ctx.optional(8)
    if bias is not None:
        unit = ctx.one("Mul", ctx.reshape(ctx.input(1), ()), ctx.input(4))
        unit = unit if unit.elements != 1 else ctx.reshape(unit, ())
        bias = ctx.one("Dequantize", bias, unit)
    if ctx.attr("channels_last"):  # in ONNX Runtime's own domain; of the weights they are second all the same
        result = between_channels_last(ctx, x, lambda x: convolved(ctx, x, w, bias))
    else:
        result = convolved(ctx, x, w, bias)
    return quantized(ctx, result, ctx.input(6), ctx.input(7))
