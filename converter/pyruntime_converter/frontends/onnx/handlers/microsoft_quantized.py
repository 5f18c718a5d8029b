"""Quantised operators of ONNX Runtime's own domain, which its quantiser and its optimiser put into models.

Each is the float operator between dequantising and quantising; passes find what stays integer.
"""

from __future__ import annotations

from collections.abc import Callable

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import between_channels_last
from pyruntime_converter.frontends.onnx.handlers.matmul import oriented_product
from pyruntime_converter.frontends.onnx.handlers.microsoft import attended
from pyruntime_converter.frontends.onnx.handlers.movement import joined
from pyruntime_converter.frontends.onnx.handlers.pooling import window
from pyruntime_converter.frontends.onnx.handlers.quantization import (
    MICROSOFT,
    aligned,
    dequantized,
    dynamic,
    integer_matmul,
    quantized,
)
from pyruntime_converter.frontends.onnx.handlers.recurrent import layer


def _unary(ctx: NodeContext, apply: Callable[[Value], Value]) -> Value:
    """apply between dequantising inputs 0 to 2 and quantising by inputs 3 and 4."""
    return quantized(ctx, apply(dequantized(ctx, 0)), ctx.input(3), ctx.optional(4))


@handles("QLinearAdd", "QLinearMul", domain=MICROSOFT)
def binary(ctx: NodeContext) -> Value:
    """Of two operands that broadcast."""
    op = ctx.op.removeprefix("QLinear")
    result = ctx.one(op, dequantized(ctx, 0), dequantized(ctx, 3))
    return quantized(ctx, result, ctx.input(6), ctx.optional(7))


@handles("QLinearSigmoid", domain=MICROSOFT)
def sigmoid(ctx: NodeContext) -> Value:
    """Of one operand."""
    return _unary(ctx, lambda x: ctx.one("Sigmoid", x))


@handles("QLinearLeakyRelu", domain=MICROSOFT)
def leaky_relu(ctx: NodeContext) -> Value:
    """Of one operand."""
    alpha = ctx.attr("alpha")
    return _unary(ctx, lambda x: ctx.one("LeakyRelu", x, alpha=0.01 if alpha is None else float(alpha)))


@handles("QLinearSoftmax", domain=MICROSOFT)
def softmax(ctx: NodeContext) -> Value:
    """Along one axis, or as before opset 13 along all from it on."""
    x = dequantized(ctx, 0)
    axis = ctx.axis(-1 if ctx.attr("axis") is None else ctx.attr("axis"), x.rank)
    if ctx.required("opset") < 13 and axis != x.rank - 1:
        ctx.fail("more than one axis is not supported", "Export with opset 13 or later.")
    # ONNX Runtime, which alone says what this is, multiplies by a whole number: with steps of 1 / 255, by 254
    one = ctx.like(1, x)
    times = ctx.one("Floor", ctx.one("Div", one, ctx.input(3)))
    return quantized(ctx, ctx.one("Softmax", x, axis=axis), ctx.one("Div", one, times), ctx.optional(4))


def _pooled(ctx: NodeContext, apply: Callable[[Value], Value]) -> Value:
    if ctx.attr("channels_last"):
        return _unary(ctx, lambda x: between_channels_last(ctx, x, apply))
    return _unary(ctx, apply)


@handles("QLinearGlobalAveragePool", domain=MICROSOFT)
def global_average_pool(ctx: NodeContext) -> Value:
    """The mean of each channel."""
    return _pooled(ctx, lambda x: ctx.one("ReduceMean", x, axes=tuple(range(2, x.rank)), keepdims=True))


@handles("QLinearAveragePool", domain=MICROSOFT)
def average_pool(ctx: NodeContext) -> Value:
    """The mean of each window."""
    counted = bool(ctx.attr("count_include_pad"))
    return _pooled(ctx, lambda x: ctx.one("AveragePool", x, count_include_pad=counted, **window(ctx, x)))


@handles("QLinearConcat", domain=MICROSOFT)
def concat(ctx: NodeContext) -> Value:
    """Of operands that each have a scale and a zero point."""
    scale, zero, count = ctx.input(0), ctx.input(1), (ctx.stated_inputs - 2) // 3
    if count < 1 or ctx.stated_inputs != 2 + 3 * count:
        ctx.invalid(f"{ctx.stated_inputs} inputs")
    parts = [dequantized(ctx, 2 + 3 * i) for i in range(count)]
    axis = ctx.axis(ctx.required("axis"), parts[0].rank)
    return quantized(ctx, joined(ctx, parts, axis), scale, zero)


@handles("QLinearWhere", domain=MICROSOFT)
def where(ctx: NodeContext) -> Value:
    """A choice between two operands."""
    result = ctx.one("Where", ctx.input(0), dequantized(ctx, 1), dequantized(ctx, 4))
    return quantized(ctx, result, ctx.input(7), ctx.optional(8))


@handles("QGemm", domain=MICROSOFT)
def gemm(ctx: NodeContext) -> Value:
    """alpha * A @ B + C, C in steps of alpha and both scales; in floats where the result has no scale."""
    a, b, c = dequantized(ctx, 0), dequantized(ctx, 3, 0 if ctx.attr("transB") else 1), ctx.optional(6)
    alpha = ctx.attr("alpha")
    result = oriented_product(ctx, a, b)
    unit = ctx.one("Mul", ctx.reshape(ctx.input(1), ()), aligned(ctx, ctx.input(4), result, 1))
    if alpha is not None and alpha != 1:
        factor = ctx.like(alpha, result)
        result, unit = ctx.one("Mul", result, factor), ctx.one("Mul", unit, factor)
    if c is not None:
        result = ctx.one("Add", result, ctx.one("Dequantize", c, unit))
    scale = ctx.optional(7)
    zero = ctx.optional(8)
    return result if scale is None else quantized(ctx, result, scale, zero)


def _float_product(ctx: NodeContext, sums: Value, scales: list[Value], bias: Value | None) -> Value:
    """Sums of integer products times scales, plus a bias."""
    for scale in scales:
        sums = ctx.one("Dequantize" if sums.dtype is DType.I32 else "Mul", sums, scale)
    return sums if bias is None else ctx.one("Add", sums, bias)


@handles("MatMulIntegerToFloat", domain=MICROSOFT)
def matmul_integer_to_float(ctx: NodeContext) -> Value:
    """A product of 8-bit integers, less their zero points, times both scales, plus a bias."""
    a, b = ctx.input(0), ctx.input(1)
    scales = [aligned(ctx, ctx.input(i), x, axis) for i, x, axis in ((2, a, -2), (3, b, -1))]
    sums = integer_matmul(ctx, a, b, ctx.optional(4), ctx.optional(5))
    return _float_product(ctx, sums, scales, ctx.optional(6))


@handles("DynamicQuantizeMatMul", domain=MICROSOFT)
def dynamic_quantize_matmul(ctx: NodeContext) -> Value:
    """A float operand, quantised over its range, times 8-bit weights."""
    x, b = ctx.input(0), ctx.input(1)
    scale = aligned(ctx, ctx.input(2), b, -1)
    a, own, zero = dynamic(ctx, x)
    sums = integer_matmul(ctx, a, b, zero, ctx.optional(3))
    return _float_product(ctx, sums, [own, scale], ctx.optional(4))


@handles("QAttention", domain=MICROSOFT)
def quantized_attention(ctx: NodeContext) -> list[Value]:
    """Attention whose first product, of 8-bit integers, makes queries, keys and values as floats."""
    x, weight, bias = ctx.input(0), ctx.input(1), ctx.input(2)
    scales = [aligned(ctx, ctx.input(i), v, axis) for i, v, axis in ((3, x, -2), (4, weight, -1))]
    sums = integer_matmul(ctx, x, weight, ctx.optional(6), ctx.optional(7))
    product = _float_product(ctx, sums, scales, bias)
    return attended(ctx, product, ctx.optional(5), ctx.optional(8))


@handles("DynamicQuantizeLSTM", domain=MICROSOFT)
def dynamic_quantize_lstm(ctx: NodeContext) -> list[Value]:
    """An LSTM with 8-bit weights: products with the input in integers, those with the state in floats."""
    x, w, r = (ctx.input(i) for i in range(3))
    others = [ctx.optional(i) for i in range(3, 8)]
    if w.rank != 3 or r.rank != 3:
        ctx.invalid(f"W and R of rank {w.rank} and {r.rank}, not 3")
    directions, _, rows = w.shape

    def parameter(index: int) -> Value | None:
        """A scale or zero point, of each direction or each of its rows, as [directions, 1, 1 or rows]."""
        value = ctx.optional(index)
        if value is None:
            return None
        return ctx.reshape(value, (directions, 1, rows if value.rank == 2 else 1))

    def flat(value: Value) -> Value:
        """[directions, k, rows] as [k, directions * rows]."""
        spread = ctx.one("Expand", value, shape=(directions, value.shape[1], rows))
        moved = ctx.one("Transpose", spread, perm=(1, 0, 2))
        return ctx.reshape(moved, (value.shape[1], directions * rows))

    scale, zero = parameter(8), parameter(9)
    recurrent = [p for p in (r, parameter(10), parameter(11)) if p is not None]
    if scale is None or len(recurrent) < 2:
        ctx.invalid("a scale of its weights is missing")

    def project(x: Value) -> Value:
        levels, step, place = dynamic(ctx, x)
        sums = integer_matmul(ctx, levels, flat(w), place, None if zero is None else flat(zero))
        return _float_product(ctx, sums, [step, flat(scale)], None)

    weights = ctx.one("Transpose", ctx.one("Dequantize", *recurrent), perm=(0, 2, 1))
    return layer(ctx, "LSTM", x, project, weights, others)
