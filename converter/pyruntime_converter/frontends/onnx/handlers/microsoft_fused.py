"""Operators that ONNX Runtime's optimiser makes of several: models that it saved optimised have them.

A product or convolution with what is added and the activation behind it, and pooling with channels last.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import between_channels_last
from pyruntime_converter.frontends.onnx.handlers.convolution import convolved
from pyruntime_converter.frontends.onnx.handlers.matmul import oriented_product, product
from pyruntime_converter.frontends.onnx.handlers.pooling import window
from pyruntime_converter.frontends.onnx.handlers.quantization import MICROSOFT

# the attributes that the numbers of an activation are, in their order
_NUMBERS: dict[str, tuple[str, ...]] = {
    "Relu": (),
    "Tanh": (),
    "Sigmoid": (),
    "Softplus": (),
    "Softsign": (),
    "LeakyRelu": ("alpha",),
    "Elu": ("alpha",),
    "ThresholdedRelu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
}


def _activated(ctx: NodeContext, x: Value, params: Sequence[float]) -> Value:
    """x behind the activation that the node names, if any, with its numbers."""
    name = ctx.attr("activation")
    if not name:
        return x
    if name == "Clip":
        if len(params) != 2:
            ctx.invalid(f"{len(params)} limits of Clip")
        return ctx.one("Min", ctx.one("Max", x, ctx.like(params[0], x)), ctx.like(params[1], x))
    if name not in _NUMBERS:
        ctx.fail(f"the activation {name!r} is not supported", "Save the model without optimisations.")
    if len(params) < len(_NUMBERS[name]):
        ctx.invalid(f"{len(params)} numbers of {name}")
    return ctx.one(name, x, **dict(zip(_NUMBERS[name], params, strict=False)))


@handles("FusedConv", domain=MICROSOFT)
def fused_conv(ctx: NodeContext) -> Value:
    """A convolution, what is added to it, and an activation."""
    added = ctx.optional(3)
    result = convolved(ctx, ctx.input(0), ctx.input(1), ctx.optional(2))
    if added is not None:
        result = ctx.one("Add", result, added)
    return _activated(ctx, result, ctx.attr("activation_params") or ())


@handles("FusedGemm", domain=MICROSOFT)
def fused_gemm(ctx: NodeContext) -> Value:
    """alpha * A @ B + beta * C, and an activation."""
    a, b, c, beta = ctx.input(0), ctx.input(1), ctx.optional(2), ctx.attr("beta")
    result = _scaled(ctx, oriented_product(ctx, a, b), ctx.attr("alpha"))
    if c is not None and beta != 0:
        result = ctx.one("Add", result, _scaled(ctx, c, beta))
    numbers = [ctx.attr(f"activation_{name}") for name in ("alpha", "beta", "gamma")]
    return _activated(ctx, result, [n for n in numbers if n is not None])


def _scaled(ctx: NodeContext, x: Value, factor: float | None) -> Value:
    """x times a number, by default 1."""
    return x if factor in (None, 1) else ctx.one("Mul", x, ctx.like(factor, x))


@handles("FusedMatMul", "TransposeMatMul", domain=MICROSOFT)
def fused_matmul(ctx: NodeContext) -> Value:
    """alpha * A @ B, of operands whose last two axes, or first and batch axes, are the other way round."""
    a, b = (_turned(ctx, ctx.input(i), side) for i, side in enumerate("AB"))
    return _scaled(ctx, product(ctx, a, b), ctx.attr("alpha"))


def _turned(ctx: NodeContext, x: Value, side: str) -> Value:
    """An operand as MatMul takes it."""
    rank, last_two, batch = x.rank, ctx.attr(f"trans{side}"), ctx.attr(f"transBatch{side}")
    if rank < 2:  # a vector is turned by nothing
        return x
    perm = list(range(rank))
    if batch:  # [rows, batch..., columns]
        perm = [*perm[1:-1], 0, rank - 1]
    if last_two:
        perm[-2:] = perm[:-3:-1]
    return x if perm == sorted(perm) else ctx.one("Transpose", x, perm=tuple(perm))


@handles("NhwcMaxPool", domain=MICROSOFT)
def max_pool(ctx: NodeContext) -> Value:
    """The largest of each window, of channels that are last."""
    return between_channels_last(ctx, ctx.input(), lambda x: ctx.one("MaxPool", x, **window(ctx, x)))
