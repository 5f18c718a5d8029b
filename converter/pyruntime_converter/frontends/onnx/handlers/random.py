"""Random operators: numbers that a seed and an element's index tell, see `draws.py`."""

from __future__ import annotations

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Shape, Value
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.draws import Draws
from pyruntime_converter.frontends.onnx.held import Text, shape_of
from pyruntime_converter.frontends.onnx.tensors import dtype_of


@handles("RandomUniform", "RandomUniformLike")
def random_uniform(ctx: NodeContext) -> Value:
    """From low to high, each as likely."""
    shape, dtype = _made(ctx)
    low, high = ctx.attr("low"), ctx.attr("high")
    return ctx.cast(_scaled(ctx, Draws(ctx).uniform(shape), high - low, low), dtype)


@handles("RandomNormal", "RandomNormalLike")
def random_normal(ctx: NodeContext) -> Value:
    """Of a mean, and a deviation that is called scale."""
    shape, dtype = _made(ctx)
    return ctx.cast(_scaled(ctx, Draws(ctx).normal(shape), ctx.attr("scale"), ctx.attr("mean")), dtype)


def _made(ctx: NodeContext) -> tuple[Shape, DType]:
    """The shape and dtype that a node states, or takes from its input."""
    stated = ctx.attr("dtype")
    if ctx.op.endswith("Like"):
        x = ctx.element()
        shape = shape_of(x)
        if stated is None and isinstance(x, Text):
            ctx.invalid("random elements of type string")
        dtype = ctx.input().dtype if stated is None else dtype_of(stated, ctx.name)
    else:
        shape, dtype = tuple(ctx.required("shape")), dtype_of(stated, ctx.name)
        if min(ctx.required("shape"), default=0) < 0:
            ctx.invalid(f"shape {shape}")
    if not dtype.is_float:
        ctx.invalid(f"random elements of type {dtype.value}")
    return shape, dtype


def _scaled(ctx: NodeContext, x: Value, factor: float, term: float) -> Value:
    return ctx.one("Add", ctx.one("Mul", x, ctx.like(factor, x)), ctx.like(term, x))


@handles("Bernoulli")
def bernoulli(ctx: NodeContext) -> Value:
    """1 where chance wills, as likely as the input says, else 0."""
    likely, stated = ctx.input(), ctx.attr("dtype")
    drawn = Draws(ctx).uniform(likely.shape)
    ones = ctx.one("Less", drawn, ctx.cast(likely, DType.F32))
    return ctx.cast(ones, likely.dtype if stated is None else dtype_of(stated, ctx.name))


@handles("Multinomial")
def multinomial(ctx: NodeContext) -> Value:
    """Classes, as likely as a row's logarithms say: where they are largest with noise of Gumbel's."""
    logits, count, dtype = ctx.input(), ctx.attr("sample_size"), dtype_of(ctx.attr("dtype"), ctx.name)
    if logits.rank != 2 or count < 1:
        ctx.invalid(f"{count} samples of an input of rank {logits.rank}")
    batch, classes = logits.shape
    drawn = Draws(ctx).inner((batch, count, classes))
    noise = ctx.one("Neg", ctx.one("Log", ctx.one("Neg", ctx.one("Log", drawn))))
    scores = ctx.one("Add", ctx.cast(ctx.reshape(logits, (batch, 1, classes)), DType.F32), noise)
    return ctx.cast(ctx.one("ArgMax", scores, axis=2, keepdims=False), dtype)


@handles("Dropout", since=12)
def dropout(ctx: NodeContext) -> list[Value]:
    """The input; in training mode with zeros by chance, and the rest as much larger as that takes away."""
    x, given, training = ctx.input(), ctx.optional(1), ctx.optional(2)
    ratio = ctx.builder.constant(0.5, DType.F32) if given is None else ctx.cast(given, DType.F32)
    ratio = ctx.reshape(ratio, ())
    never = training is None or (training.data is not None and not ctx.scalar(training, "training_mode"))
    if never or (ratio.data is not None and ratio.data == 0):
        ctx.attr("seed")
        return [x, ctx.one("Expand", ctx.builder.constant(True), shape=x.shape)] if _masks(ctx) else [x]
    assert training is not None
    if training.data is None:  # outside training mode nothing is dropped
        ratio = ctx.one("Where", ctx.reshape(training, ()), ratio, ctx.like(0, ratio))
    kept = ctx.one("GreaterOrEqual", Draws(ctx).uniform(x.shape), ratio)
    larger = ctx.one("Div", ctx.like(1, ratio), ctx.one("Sub", ctx.like(1, ratio), ratio))
    result = ctx.one("Where", kept, ctx.one("Mul", x, ctx.cast(larger, x.dtype)), ctx.like(0, x))
    return [result, kept]


def _masks(ctx: NodeContext) -> bool:
    return len(ctx.outputs) > 1 and bool(ctx.outputs[1])
