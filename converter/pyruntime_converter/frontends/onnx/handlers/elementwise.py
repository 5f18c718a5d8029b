"""Elementwise operators: most are canonical as they are, the rest are a line or two over others."""

from __future__ import annotations

import functools
import math

import numpy as np

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ops.codes import RoundMode
from pyruntime.ops.definition import definition
from pyruntime.ops.numerals import limits
from pyruntime.ops.widen import converted
from pyruntime_converter.frontends.onnx import text
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import fitted, legacy_broadcast
from pyruntime_converter.frontends.onnx.handlers.strings import written
from pyruntime_converter.frontends.onnx.held import Held
from pyruntime_converter.frontends.onnx.tensors import dtype_of

_UNARY = (
    *("Neg", "Abs", "Sign", "Floor", "Ceil", "Round", "Sqrt", "Reciprocal", "Exp", "Log", "Erf"),
    *("Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "Tanh"),
    *("Sigmoid", "Relu", "LeakyRelu", "Elu", "Selu", "Celu", "HardSigmoid", "HardSwish", "Softplus"),
    *(
        "Softsign",
        "Mish",
        "Swish",
        "ThresholdedRelu",
        "Shrink",
        "IsNaN",
        "IsInf",
        "Not",
        "BitwiseNot",
    ),
)
_BINARY = (
    *("Add", "Sub", "Mul", "Div", "And", "Or", "Xor", "Less", "LessOrEqual"),
    *("Greater", "GreaterOrEqual", "BitwiseAnd", "BitwiseOr", "BitwiseXor"),
)


@handles(*_UNARY)
def unary(ctx: NodeContext) -> Value:
    """A canonical op of the same name; its attributes are ONNX's."""
    return _same(ctx, ctx.input())


@handles(*_BINARY)
def binary(ctx: NodeContext) -> Value:
    """A canonical op of the same name on two operands."""
    return _same(ctx, *legacy_broadcast(ctx))


@handles("Equal")
def equal(ctx: NodeContext) -> Value:
    """Whether operands are the same, as numbers or as strings."""
    a, b = ctx.text(0), ctx.text(1)
    if a is None or b is None:
        return _same(ctx, *legacy_broadcast(ctx))
    return text.equal(ctx.builder, a, b)


def _same(ctx: NodeContext, *operands: Value) -> Value:
    stated = {name: ctx.attr(name) for name in definition(ctx.op).attrs}
    return ctx.one(ctx.op, *fitted(ctx, *operands), **{k: v for k, v in stated.items() if v is not None})


@handles("Gelu")
def gelu(ctx: NodeContext) -> Value:
    """x times the normal distribution's integral, exact or by tanh."""
    return ctx.one("Gelu", ctx.input(), approximate=ctx.choice("approximate", "none", "tanh"))


@handles("Binarizer", domain="ai.onnx.ml")
def binarizer(ctx: NodeContext) -> Value:
    """1 above a threshold, else 0."""
    x, threshold = ctx.input(), float(ctx.attr("threshold"))
    if x.dtype.is_float:
        return ctx.one("Binarizer", x, threshold=threshold)
    # an integer is above it if it is above its floor
    low, high = limits(x.dtype)
    if not low <= threshold < high:
        return ctx.one("Expand", ctx.like(int(threshold < low), x), shape=x.shape)
    return ctx.cast(ctx.one("Greater", x, ctx.like(math.floor(threshold), x)), x.dtype)


@handles("BitShift")
def bit_shift(ctx: NodeContext) -> Value:
    """Integers shifted by as many bits as the second operand says; to the right they keep their sign."""
    direction = ctx.choice("direction", "LEFT", "RIGHT")
    return ctx.one("BitShift", ctx.input(0), ctx.input(1), direction=direction)


@handles("Mod")
def mod(ctx: NodeContext) -> Value:
    """The remainder with the divisor's sign, or with fmod the dividend's."""
    a, b, truncated = ctx.input(0), ctx.input(1), bool(ctx.attr("fmod"))
    if truncated or not a.dtype.is_float:
        return ctx.one("Mod", a, b, fmod=truncated)
    rest, zero = ctx.one("Mod", a, b, fmod=True), ctx.like(0, a)
    unlike = ctx.one("Xor", ctx.one("Less", rest, zero), ctx.one("Less", b, zero))
    wrong = ctx.one("And", unlike, ctx.one("Not", ctx.one("Equal", rest, zero)))
    return ctx.one("Where", wrong, ctx.one("Add", rest, b), rest)


@handles("Pow")
def power(ctx: NodeContext) -> Value:
    """The result has the base's type, whatever the exponent's is."""
    base, exponent = legacy_broadcast(ctx)
    if base.dtype is exponent.dtype:
        return ctx.one("Pow", base, exponent)
    if base.dtype.is_float or not exponent.dtype.is_float:
        return ctx.one("Pow", base, ctx.cast(exponent, base.dtype))
    return ctx.cast(ctx.one("Pow", ctx.cast(base, exponent.dtype), exponent), base.dtype)


@handles("PRelu")
def prelu(ctx: NodeContext) -> Value:
    """Before opset 7 a slope of one axis belongs to the channels."""
    x, slope = ctx.input(0), ctx.input(1)
    if ctx.opset < 7 and slope.rank == 1 and slope.shape != (1,):
        slope = ctx.reshape(slope, (*slope.shape, *[1] * (x.rank - 2)))
    return ctx.one("PRelu", x, slope)


@handles("Sum")
def variadic_sum(ctx: NodeContext) -> Value:
    """Any number of addends."""
    return functools.reduce(lambda a, b: ctx.one("Add", a, b), ctx.variadic())


@handles("Mean")
def variadic_mean(ctx: NodeContext) -> Value:
    """The sum over the number of operands."""
    values = ctx.variadic()
    total = functools.reduce(lambda a, b: ctx.one("Add", a, b), values)
    return total if len(values) == 1 else ctx.one("Div", total, ctx.like(len(values), total))


@handles("Max", "Min")
def variadic_extreme(ctx: NodeContext) -> Value:
    """The largest or smallest of any number of operands."""
    return functools.reduce(lambda a, b: ctx.one(ctx.op, a, b), ctx.variadic())


@handles("Clip", until=10)
def clip_attributes(ctx: NodeContext) -> Value:
    """Limits that are attributes."""
    x = ctx.input()
    low, high = ctx.attr("min"), ctx.attr("max")
    limits = np.finfo(x.dtype.value) if x.dtype.is_float else None
    if low is not None and (limits is None or low > limits.min):
        x = ctx.one("Max", x, ctx.like(low, x))
    if high is not None and (limits is None or high < limits.max):
        x = ctx.one("Min", x, ctx.like(high, x))
    return x


@handles("Clip", since=11)
def clip(ctx: NodeContext) -> Value:
    """Limits that are inputs; where they cross, the upper one wins."""
    x, low, high = ctx.input(), ctx.optional(1), ctx.optional(2)
    if low is not None:
        x = ctx.one("Max", x, low)
    return x if high is None else ctx.one("Min", x, high)


@handles("Where")
def where(ctx: NodeContext) -> Value:
    """The second operand where the first holds, else the third."""
    return ctx.one("Where", *fitted(ctx, ctx.input(0), ctx.input(1), ctx.input(2)))


ROUND_MODES: dict[str, RoundMode] = {"up": "up", "down": "down", "nearest": "nearest"}
_CAST_NAMES = {
    "FLOAT": DType.F32,
    "DOUBLE": DType.F64,
    "FLOAT16": DType.F16,
}  # others match DType's in lower case


@handles("Cast")
def cast(ctx: NodeContext) -> Held:
    """A conversion; opsets before 6 name the type in words."""
    to = ctx.required("to")
    if not isinstance(to, str):
        return _converted(ctx, dtype_of(to, ctx.name))
    known = {d.value.upper(): d for d in DType} | _CAST_NAMES
    if to not in known:
        ctx.fail(f"element type {to} is not supported")
    return _converted(ctx, known[to])


@handles("CastLike")
def cast_like(ctx: NodeContext) -> Held:
    """A conversion to another tensor's type."""
    return _converted(ctx, DType.STRING if ctx.text(1) else ctx.input(1).dtype)


def _converted(ctx: NodeContext, dtype: DType) -> Held:
    """The first input as dtype; the attributes concern 8-bit floats alone."""
    saturate = bool(ctx.attr("saturate")) and dtype.is_float and dtype.width == 8
    mode = ROUND_MODES[ctx.choice("round_mode", *ROUND_MODES)]
    strings = ctx.text()
    if strings is not None and dtype is DType.STRING:
        return strings
    if strings is not None and dtype is DType.BOOL:
        return text.truths(ctx.builder, strings)
    if strings is None and dtype is DType.STRING:
        if ctx.input().dtype is DType.BOOL:  # as in ONNX's reference; ONNX Runtime writes 0 and 1
            return text.chosen(ctx.builder, ctx.cast(ctx.input(), DType.I32), ("False", "True"))
        return written(ctx, ctx.input())
    x = ctx.input() if strings is None else text.numbers(ctx.builder, strings, dtype)
    if x.data is None and x.dtype.is_float and dtype in (DType.I32, DType.I64):
        dims = ctx.truncated(x)  # sizes that were counted in floats
        if dims is not None:
            return ctx.reshape(ctx.builder.dims(dims, dtype), x.shape)
    return converted(ctx.builder, x, dtype, saturate=saturate, round_mode=mode)


@handles("BitCast")
def bit_cast(ctx: NodeContext) -> Value:
    """The same bits as another type of as many."""
    x, dtype = ctx.input(), dtype_of(ctx.required("to"), ctx.name)
    if x.dtype.width != dtype.width:
        ctx.invalid(f"{x.dtype!r} and {dtype!r} have unlike bits")
    bits = _bits_of(ctx, x)
    if dtype is DType.BOOL:
        return ctx.cast(bits, dtype)
    if dtype is DType.F16:
        halves = ctx.one("Decode", ctx.cast(bits, DType.U16), dtype=dtype)
        return ctx.cast(halves, dtype)
    if dtype.code:
        bits = ctx.cast(bits, dtype.code)
    return bits if bits.dtype is dtype else ctx.one("BitCast", bits, to=dtype)


def _bits_of(ctx: NodeContext, x: Value) -> Value:
    """Integers of the same bits, for types that are not of 32 or 64; others as they are."""
    if x.dtype is DType.BOOL:
        return ctx.cast(x, DType.U8)
    if x.dtype is DType.F16:
        return ctx.one("Encode", ctx.cast(x, DType.F32), dtype=x.dtype)
    return ctx.one("BitCast", x, to=x.dtype.code) if x.dtype.code else x


@handles("Identity", "Dropout", until=6)
def identity_of_first_opsets(ctx: NodeContext) -> list[Value]:
    """Identity; Dropout is one in inference, which `is_test` may state."""
    ctx.attr("is_test")
    ctx.attr("ratio")
    return _with_mask(ctx, ctx.input(), mask_dtype=ctx.input().dtype)


@handles("Identity", since=7)
def identity(ctx: NodeContext) -> Held:
    """The value itself: no node is made."""
    return ctx.held()


@handles("Dropout", since=7, until=11)
def dropout(ctx: NodeContext) -> list[Value]:
    """The input itself: until opset 12 nothing states training mode."""
    ctx.attr("ratio")
    x = ctx.input()
    return _with_mask(ctx, x, mask_dtype=DType.BOOL if ctx.opset >= 10 else x.dtype)


def _with_mask(ctx: NodeContext, x: Value, mask_dtype: DType) -> list[Value]:
    if len(ctx.outputs) < 2 or not ctx.outputs[1]:
        return [x]
    return [x, ctx.one("Expand", ctx.builder.constant(1, mask_dtype), shape=x.shape)]
