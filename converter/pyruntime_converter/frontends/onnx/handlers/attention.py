"""ONNX's own attention and RMS normalisation; what the canonical op lacks goes by ONNX's function body."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from onnx import TensorProto

from pyruntime.ir.dims import Dim, floordiv
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import ByFunction, NodeContext, handles


def split_heads(ctx: NodeContext, x: Value, heads: Dim) -> Value:
    """[batch, length, heads * width] as [batch, heads, length, width]."""
    batch, length, features = x.shape
    width = floordiv(features, heads)
    return ctx.one("Transpose", ctx.reshape(x, (batch, length, heads, width)), perm=(0, 2, 1, 3))


def join_heads(ctx: NodeContext, x: Value) -> Value:
    """[batch, heads, length, width] as [batch, length, heads * width]."""
    batch, heads, length, width = x.shape
    return ctx.reshape(ctx.one("Transpose", x, perm=(0, 2, 1, 3)), (batch, length, heads * width))


def appended(ctx: NodeContext, past: Value | None, x: Value) -> Value:
    """Keys or values [batch, heads, length, width] after those of earlier runs."""
    return x if past is None else ctx.one("Concat", past, x, axis=2)


@dataclass
class Masks:
    """The masks of one attention: floats are added, bools say where a key is seen."""

    ctx: NodeContext
    added: Value | None = None
    seen: Value | None = None

    def add(self, mask: Value | None) -> None:
        """Take in a mask of either kind."""
        if mask is None:
            return
        if mask.dtype is DType.BOOL:
            self.seen = mask if self.seen is None else self.ctx.one("And", self.seen, mask)
        else:
            self.added = mask if self.added is None else self.ctx.one("Add", self.added, mask)

    def combined(self) -> Value | None:
        """One mask for all; where a key is not seen, minus infinity."""
        if self.seen is None or self.added is None:
            return self.added if self.seen is None else self.seen
        return self.ctx.one("Where", self.seen, self.added, self.ctx.like(float("-inf"), self.added))


def numbers(ctx: NodeContext, size: Dim, axis_from_last: int, dtype: DType = DType.I64) -> Value:
    """0, 1, ... along one of the last axes, with ones for the axes behind it."""
    row = ctx.one("Range", size=size, dtype=dtype)
    return ctx.reshape(row, (size, *(1 for _ in range(axis_from_last))))


@handles("Attention", since=23)
def attention(ctx: NodeContext) -> list[Value]:
    """softmax(q k^T) v with caches; rows that see no key give zeros."""
    q, k, v = ctx.input(0), ctx.input(1), ctx.input(2)
    mask, past_k, past_v, lengths = (ctx.optional(i) for i in range(3, 7))
    windows = [ctx.attr(name) for name in ("left_window_size", "right_window_size")]
    precise = ctx.attr("softmax_precision") == TensorProto.DOUBLE
    if any(ctx.outputs[3:]) or any(w not in (None, -1) for w in windows) or precise:
        raise ByFunction
    ctx.attr("qk_matmul_output_mode")
    packed, heads = q.rank == 3, (ctx.attr("q_num_heads"), ctx.attr("kv_num_heads"))
    if packed:
        if not all(heads):
            ctx.invalid("it does not say how many heads there are")
        q, k, v = (split_heads(ctx, x, h) for x, h in ((q, heads[0]), (k, heads[1]), (v, heads[1])))
    k, v = appended(ctx, past_k, k), appended(ctx, past_v, v)
    m, n = q.shape[-2], k.shape[-2]
    masks = Masks(ctx)
    masks.add(None if mask is None else _whole(ctx, mask, n))
    causal, past = bool(ctx.attr("is_causal")), past_k.shape[-2] if past_k is not None else 0
    if lengths is not None:
        each = ctx.cast(ctx.reshape(lengths, (lengths.elements, 1, 1, 1)), DType.I32)
        keys = numbers(ctx, n, 0, DType.I32)
        masks.add(ctx.one("Less", keys, each))
        if causal and past_k is None:
            # the last query is at the last valid key
            queries = numbers(ctx, m, 1, DType.I32)
            last = ctx.one("Add", queries, ctx.one("Sub", each, ctx.builder.dims(m, DType.I32)))
            masks.add(ctx.one("LessOrEqual", keys, last))
            causal = False
    scale = ctx.attr("scale")
    width, combined = q.shape[-1], masks.combined()
    added = combined if combined is not None and combined.dtype.is_float else None
    dtype = functools.reduce(_common, [x.dtype for x in (q, v, added) if x is not None])
    if scale is None and not isinstance(width, int):
        ctx.fail(f"its scale depends on the width of heads, {width}")
    result = ctx.one(
        "Attention",
        *(ctx.cast(x, dtype) for x in (q, k, v)),
        combined if added is None else ctx.cast(added, dtype),
        scale=float(scale) if scale is not None else float(str(width)) ** -0.5,
        softcap=float(ctx.attr("softcap") or 0),
        causal=causal,
        past=past,
        safe=True,
    )
    result = ctx.cast(result, q.dtype)
    return [join_heads(ctx, result) if packed else result, k, v]


def _common(one: DType, other: DType) -> DType:
    """The least of the floats that hold what both do."""
    if one.width == other.width:
        return one if one is other else DType.F32
    return max(one, other, key=lambda d: d.width)


def _whole(ctx: NodeContext, mask: Value, n: Dim) -> Value:
    """A mask that may say nothing of the last keys: they are not seen."""
    own = mask.shape[-1]
    if own in (n, 1):
        return mask
    after = (*(0 for _ in mask.shape[:-1]), n - own)
    before = (0,) * mask.rank
    fill = False if mask.dtype is DType.BOOL else float("-inf")
    return ctx.one("Pad", mask, before=before, after=after, mode="constant", value=fill)


@handles("RMSNormalization")
def rms_normalization(ctx: NodeContext) -> Value:
    """Over all axes from `axis` on; what comes out has the type of the scale."""
    x, scale = ctx.input(0), ctx.input(1)
    if ctx.attr("stash_type") not in (None, 1):
        raise ByFunction
    epsilon = ctx.attr("epsilon")
    attrs = {"axis": ctx.axis(ctx.attr("axis"), x.rank), "epsilon": 1e-5 if epsilon is None else epsilon}
    if scale.dtype is x.dtype:
        return ctx.one("RMSNormalization", x, scale, **attrs)
    wide = ctx.cast(x, DType.F32)
    normal = ctx.cast(ctx.one("RMSNormalization", wide, ctx.like(1, wide), **attrs), x.dtype)
    return ctx.one("Mul", ctx.cast(normal, scale.dtype), scale)
