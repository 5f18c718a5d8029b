"""What the models of ai.onnx.ml do with their scores: transforms, second classes, labels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx import text
from pyruntime_converter.frontends.onnx.context import NodeContext
from pyruntime_converter.frontends.onnx.held import Held

TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
_PROBIT = 0.147  # of the approximation to the inverse error function that ONNX Runtime and its reference take
_SMALL = 1e-7  # SOFTMAX_ZERO leaves what is nearer to zero


def transformed(ctx: NodeContext, scores: Value, transform: str) -> Value:
    """Scores [rows, classes] by `post_transform`."""
    match transform:
        case "NONE":
            return scores
        case "LOGISTIC":
            return ctx.one("Sigmoid", scores)
        case "SOFTMAX":
            return ctx.one("Softmax", scores, axis=scores.rank - 1)
        case "PROBIT":
            return _probit(ctx, scores)
    top = ctx.one("ReduceMax", scores, axes=(scores.rank - 1,), keepdims=True)
    grown = ctx.one("Exp", ctx.one("Sub", scores, top))
    kept = ctx.one("Mul", scores, ctx.one("Exp", ctx.one("Neg", top)))
    large = ctx.one("Greater", ctx.one("Abs", scores), ctx.like(_SMALL, scores))
    parts = ctx.one("Where", large, grown, kept)
    total = ctx.one("ReduceSum", parts, axes=(scores.rank - 1,), keepdims=True)
    nothing = ctx.one("Equal", total, ctx.like(0, total))
    return ctx.one("Where", nothing, ctx.like(0.5, parts), ctx.one("Div", parts, total))


def _probit(ctx: NodeContext, scores: Value) -> Value:
    def number(value: float) -> Value:
        return ctx.like(value, scores)

    x = ctx.one("Sub", ctx.one("Mul", scores, number(2)), number(1))
    rest = ctx.one("Mul", ctx.one("Sub", number(1), x), ctx.one("Add", number(1), x))
    log = ctx.one("Log", rest)
    half = ctx.one("Add", number(2 / (math.pi * _PROBIT)), ctx.one("Mul", log, number(0.5)))
    root = ctx.one(
        "Sqrt", ctx.one("Sub", ctx.one("Mul", half, half), ctx.one("Mul", log, number(1 / _PROBIT)))
    )
    size = ctx.one("Sqrt", ctx.one("Sub", root, half))
    value = ctx.one("Mul", ctx.one("Mul", ctx.one("Sign", x), size), number(1.41421356))
    return ctx.one("Where", ctx.one("Equal", rest, number(0)), number(0), value)


def two_columns(ctx: NodeContext, negative: Value, positive: Value) -> Value:
    """Scores [rows, 1] of two classes side by side."""
    return ctx.one("Concat", negative, positive, axis=1)


def labels(
    ctx: NodeContext, index: Value, integers: Sequence[int] | None, strings: Sequence[str] | None
) -> Held:
    """The label of each class index [rows]."""
    if strings:
        return text.chosen(ctx.builder, index, strings)
    found = list(integers or ())
    return ctx.one("Gather", ctx.builder.constant(np.array(found, np.int64)), index, axis=0)


def best(ctx: NodeContext, scores: Value) -> Value:
    """The index of the first largest score of each row."""
    return ctx.one("ArgMax", scores, axis=1, keepdims=False, select_last_index=False)
