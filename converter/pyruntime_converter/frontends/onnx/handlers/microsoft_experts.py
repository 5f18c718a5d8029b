"""Mixtures of experts, of ONNX Runtime's own domain: networks of which each token takes a few."""

from __future__ import annotations

from typing import Any

from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import with_axis
from pyruntime_converter.frontends.onnx.handlers.quantization import MICROSOFT

_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}),
    "gelu": ("Gelu", {"approximate": "tanh"}),
    "silu": ("Swish", {"alpha": 1.0}),
    "identity": ("Identity", {}),
    "swiglu": ("", {}),
}


@handles("MoE", domain=MICROSOFT)
def mixture_of_experts(ctx: NodeContext) -> Value:
    """The sum of the k experts that a token's router chooses, by their shares.

    Inputs: tokens [..., features], logits [tokens, experts], weights [experts, hidden, features] and
    [experts, features, hidden], with a bias for each. All experts are computed, and most weigh nothing.
    """
    x, logits = ctx.input(0), ctx.input(1)
    if ctx.optional(6) is not None or ctx.optional(7) is not None:
        ctx.fail("a third layer is not supported", "Export gates and values as one layer (swiglu).")
    if ctx.attr("use_sparse_mixer"):
        ctx.fail("its sparse mixer is not supported")
    tokens, experts = logits.shape
    hidden = _layer(ctx, ctx.reshape(x, (1, tokens, x.shape[-1])), 2)
    result = _layer(ctx, _activated(ctx, hidden), 4)
    shares = ctx.reshape(ctx.one("Transpose", _shares(ctx, logits), perm=(1, 0)), (experts, tokens, 1))
    total = ctx.one("ReduceSum", ctx.one("Mul", result, shares), axes=(0,), keepdims=False)
    return ctx.reshape(total, x.shape)


def _layer(ctx: NodeContext, x: Value, index: int) -> Value:
    """Products [experts, tokens, out] of x [1 or experts, tokens, in] with weights [experts, out, in]."""
    weights, bias = ctx.input(index), ctx.optional(index + 1)
    if weights.rank != 3:
        ctx.invalid(f"weights of rank {weights.rank}, not 3")
    if weights.shape[2] != x.shape[2]:
        ctx.fail(
            f"its weights of shape {weights.shape} do not take {x.shape[2]} features",
            "Write them as [experts, out, in], as ONNX Runtime does from 1.23 on.",
        )
    result = ctx.one("MatMul", x, ctx.one("Transpose", weights, perm=(0, 2, 1)))
    return result if bias is None else ctx.one("Add", result, with_axis(ctx, bias, 1))


def _activated(ctx: NodeContext, x: Value) -> Value:
    op, attrs = _ACTIVATIONS[ctx.choice("activation_type", *_ACTIVATIONS)]
    return _gated(ctx, x) if not op else x if op == "Identity" else ctx.one(op, x, **attrs)


def _gated(ctx: NodeContext, x: Value) -> Value:
    """Gates, every second element, times a sigmoid of theirs, times values, the others, plus `beta`."""
    if ctx.attr("swiglu_fusion") != 1 or ctx.attr("swiglu_limit_after_activation"):
        ctx.fail("its gates do not stand in turns with its values, or are limited after their activation")
    width = x.shape[2]
    if not isinstance(width, int) or width % 2:
        ctx.invalid(f"{width} features of gates and values")
    gate, value = (_every_second(ctx, x, start, width // 2) for start in (0, 1))
    limit = ctx.attr("swiglu_limit")
    if limit is not None:
        most, least = ctx.like(limit, x), ctx.like(-limit, x)
        gate = ctx.one("Min", gate, most)
        value = ctx.one("Max", ctx.one("Min", value, most), least)
    alpha, beta = ctx.attr("activation_alpha"), ctx.attr("activation_beta")
    shifted = ctx.one("Add", value, ctx.like(0.0 if beta is None else beta, x))
    return ctx.one("Mul", ctx.one("Swish", gate, alpha=1.0 if alpha is None else float(alpha)), shifted)


def _every_second(ctx: NodeContext, x: Value, start: int, size: int) -> Value:
    """Elements of the last axis from `start` on."""
    sizes = (*x.shape[:-1], size)
    return ctx.one("Slice", x, starts=(0, 0, start), sizes=sizes, steps=(1, 1, 2))


def _shares(ctx: NodeContext, logits: Value) -> Value:
    """How much each expert counts for each token: a softmax of all, or of the chosen alone; else 0."""
    tokens, experts = logits.shape
    count = 1 if ctx.attr("k") is None else ctx.attr("k")
    if isinstance(experts, int) and not 0 < count <= experts:
        ctx.invalid(f"{count} of {experts} experts")
    rows = ctx.reshape(logits, (tokens, experts, 1))
    chosen = ctx.reshape(ctx.one("ArgSort", rows, count=count, descending=True), (tokens, count))
    taken = ctx.one("GatherElements", logits, chosen, axis=1)
    if ctx.attr("normalize_routing_weights"):
        shares = ctx.one("Softmax", taken, axis=1)
    else:
        shares = ctx.one("GatherElements", ctx.one("Softmax", logits, axis=1), chosen, axis=1)
    places = ctx.one("OneHot", chosen, ctx.builder.constant([0, 1], logits.dtype), axis=2, depth=experts)
    spread = ctx.one("Mul", places, with_axis(ctx, shares, 2))
    return ctx.one("ReduceSum", spread, axes=(1,), keepdims=False)
