"""Operators of ONNX Runtime's own domain, which its transformer optimiser puts into models."""

from __future__ import annotations

from collections.abc import Sequence

from pyruntime.ir.dims import floordiv
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.attention import (
    Masks,
    appended,
    join_heads,
    numbers,
    split_heads,
)
from pyruntime_converter.frontends.onnx.handlers.common import slice_axis, stacked, with_axis
from pyruntime_converter.frontends.onnx.handlers.quantization import MICROSOFT

_FILTER = -10000.0  # what is added to the score of a masked key by default


def _added(ctx: NodeContext, x: Value, bias: Value | None) -> Value:
    return x if bias is None else ctx.one("Add", x, bias)


def _number(ctx: NodeContext, name: str, default: float) -> float:
    value = ctx.attr(name)
    return default if value is None else float(value)


# ------------------------------------------------------------------------------------------- activations


@handles("Gelu", domain=MICROSOFT)
def gelu(ctx: NodeContext) -> Value:
    """By erf."""
    return ctx.one("Gelu", ctx.input())


@handles("BiasGelu", domain=MICROSOFT)
def bias_gelu(ctx: NodeContext) -> Value:
    """By erf, of a sum."""
    return ctx.one("Gelu", ctx.one("Add", ctx.input(0), ctx.input(1)))


@handles("FastGelu", domain=MICROSOFT)
def fast_gelu(ctx: NodeContext) -> Value:
    """By tanh, of a sum."""
    return ctx.one("Gelu", _added(ctx, ctx.input(0), ctx.optional(1)), approximate="tanh")


@handles("QuickGelu", domain=MICROSOFT)
def quick_gelu(ctx: NodeContext) -> Value:
    """x times a sigmoid of alpha x."""
    return ctx.one("Swish", ctx.input(), alpha=_number(ctx, "alpha", 1.702))


# ----------------------------------------------------------------------------------------- normalisations


def _norm(ctx: NodeContext, x: Value, scale: Value, bias: Value | None, default: float) -> Value:
    epsilon = _number(ctx, "epsilon", default)
    return ctx.one("LayerNormalization", x, scale, bias, axis=x.rank - 1, epsilon=epsilon)


def _rms(ctx: NodeContext, x: Value, scale: Value, axis: int) -> Value:
    return ctx.one("RMSNormalization", x, scale, axis=axis, epsilon=_number(ctx, "epsilon", 1e-5))


def _with_statistics(ctx: NodeContext, result: Value, total: Value) -> list[Value]:
    """The outputs of a norm of a sum: mean and deviation, which only training reads, cannot be had."""
    if any(ctx.outputs[1:3]):
        ctx.fail("its statistics are outputs", "Export the model for inference.")
    return [result, total, total, total]


@handles("SkipLayerNormalization", domain=MICROSOFT)
def skip_layer_normalization(ctx: NodeContext) -> list[Value]:
    """Layer norm of a residual sum, which is an output too."""
    total = _added(ctx, ctx.one("Add", ctx.input(0), ctx.input(1)), ctx.optional(4))
    return _with_statistics(ctx, _norm(ctx, total, ctx.input(2), ctx.optional(3), 1e-12), total)


@handles("SkipSimplifiedLayerNormalization", domain=MICROSOFT)
def skip_rms_normalization(ctx: NodeContext) -> list[Value]:
    """RMS norm of a residual sum, which is an output too."""
    total = _added(ctx, ctx.one("Add", ctx.input(0), ctx.input(1)), ctx.optional(3))
    return _with_statistics(ctx, _rms(ctx, total, ctx.input(2), total.rank - 1), total)


@handles("SimplifiedLayerNormalization")
def simplified_layer_normalization(ctx: NodeContext) -> Value:
    """RMS norm; ONNX Runtime writes it in the default domain."""
    x, axis = ctx.input(0), ctx.attr("axis")
    if ctx.attr("stash_type") not in (None, 1):
        ctx.fail(f"stash_type {ctx.attr('stash_type')} is not supported")
    return _rms(ctx, x, ctx.input(1), ctx.axis(-1 if axis is None else axis, x.rank))


@handles("EmbedLayerNormalization", domain=MICROSOFT)
def embed_layer_normalization(ctx: NodeContext) -> list[Value]:
    """Layer norm of the sum of word, position and segment embeddings; how many keys of each row are seen."""
    ids, segments = ctx.input(0), ctx.optional(1)
    words, places, kinds = ctx.input(2), ctx.input(3), ctx.optional(4)
    gamma, beta, positions = ctx.input(5), ctx.input(6), ctx.optional(8)
    mask = ctx.optional(7)
    ctx.attr("mask_index_type")
    if mask is None:
        seen = ctx.one("Expand", ctx.builder.constant(0, DType.I32), shape=ids.shape[:1])
    else:
        ones = ctx.cast(ctx.one("Equal", mask, ctx.like(1, mask)), DType.I32)
        seen = ctx.one("ReduceSum", ones, axes=(1,), keepdims=False)
    total = ctx.one("Gather", words, ids, axis=0)
    if positions is None:
        place = slice_axis(ctx, places, 0, 0, ids.shape[1])
    else:
        place = ctx.one("Gather", places, positions, axis=0)
    total = ctx.one("Add", total, place)
    if segments is not None and kinds is not None:
        total = ctx.one("Add", total, ctx.one("Gather", kinds, segments, axis=0))
    return [_norm(ctx, total, gamma, beta, 1e-12), seen, total]


# ---------------------------------------------------------------------------------------------- distances


@handles("CDist", domain=MICROSOFT)
def distances(ctx: NodeContext) -> Value:
    """Between all rows of two matrices, as skl2onnx writes neighbours with `optim="cdist"`."""
    a, b, metric = ctx.input(0), ctx.input(1), ctx.choice("metric", "sqeuclidean", "euclidean")
    if a.rank != 2 or b.rank != 2:
        ctx.invalid(f"operands of rank {a.rank} and {b.rank}, not 2")
    apart = ctx.one("Sub", with_axis(ctx, a, 1), with_axis(ctx, b, 0))
    squares = ctx.one("ReduceSum", ctx.one("Mul", apart, apart), axes=(2,), keepdims=False)
    return squares if metric == "sqeuclidean" else ctx.one("Sqrt", squares)


# ---------------------------------------------------------------------------------------------- attention


def _padding(ctx: NodeContext, mask: Value, keys: Value) -> Value:
    """A mask of integers as bools: [batch] lengths, or [batch, (queries,) keys], nonzero where seen."""
    if mask.rank == 1:
        if mask.shape[0] != keys.shape[0]:
            ctx.fail(f"a mask of shape {mask.shape} with starts of keys is not supported")
        return ctx.one("Less", numbers(ctx, keys.shape[-2], 0), ctx.cast(_spread(ctx, mask, 3), DType.I64))
    if mask.rank not in (2, 3):
        ctx.fail(f"a mask of shape {mask.shape} is not supported")
    seen = ctx.cast(mask, DType.BOOL)
    batch, *rest = mask.shape
    return ctx.reshape(seen, (batch, 1, *(1 for _ in range(3 - mask.rank)), *rest))


def _spread(ctx: NodeContext, x: Value, axes: int) -> Value:
    return ctx.reshape(x, (*x.shape, *(1 for _ in range(axes))))


def _attend(ctx: NodeContext, q: Value, k: Value, v: Value, masks: Masks, past: Value | None) -> Value:
    """Attention of [batch, heads, length, width], joined; a finite number is added for masked keys."""
    width = q.shape[-1]
    if not isinstance(width, int):
        ctx.fail(f"its heads' width {width} depends on the input sizes")
    scale = _number(ctx, "scale", 0.0) or width**-0.5
    low = _number(ctx, "mask_filter_value", _FILTER)
    if masks.seen is not None:
        zero = ctx.builder.constant(0, q.dtype)
        soft = ctx.one("Where", masks.seen, zero, ctx.builder.constant(low, q.dtype))
        masks = Masks(ctx, masks.added)
        masks.add(soft)
    result = ctx.one(
        "Attention",
        q,
        k,
        v,
        masks.combined(),
        scale=scale,
        causal=bool(ctx.attr("unidirectional")),
        past=0 if past is None else past.shape[2],
    )
    return join_heads(ctx, result)


@handles("MultiHeadAttention", domain=MICROSOFT)
def multi_head_attention(ctx: NodeContext) -> list[Value]:
    """Of projected queries, keys and values, with one bias for all three."""
    query, key, value = ctx.input(0), ctx.optional(1), ctx.optional(2)
    bias, padding, added = ctx.optional(3), ctx.optional(4), ctx.optional(5)
    past_k, past_v, heads = ctx.optional(6), ctx.optional(7), ctx.required("num_heads")
    if query.rank != 3 or key is None or value is None:
        ctx.fail("packed queries, keys and values are not supported", "Export them apart.")
    parts: list[Value] = []
    start = 0
    for x in (query, key, value):
        if x.rank == 3:
            features = x.shape[-1]
            if bias is not None and isinstance(features, int):
                x = ctx.one("Add", x, slice_axis(ctx, bias, 0, start, features))
                start += features
            x = split_heads(ctx, x, heads)
        elif bias is not None:
            ctx.fail("a bias with keys that are split into heads already is not supported")
        parts.append(x)
    q, k, v = parts[0], appended(ctx, past_k, parts[1]), appended(ctx, past_v, parts[2])
    masks = Masks(ctx, added)
    if padding is not None:
        masks.add(_padding(ctx, padding, k))
    return [_attend(ctx, q, k, v, masks, past_k), k, v]


@handles("Attention", domain=MICROSOFT)
def attention(ctx: NodeContext) -> list[Value]:
    """With the product that makes queries, keys and values."""
    product = _added(ctx, ctx.one("MatMul", ctx.input(0), ctx.input(1)), ctx.optional(2))
    sizes = ctx.attr("qkv_hidden_sizes")
    return attended(ctx, product, ctx.optional(3), ctx.optional(4), ctx.optional(5), sizes)


def attended(
    ctx: NodeContext,
    product: Value,
    mask: Value | None,
    past: Value | None,
    added: Value | None = None,
    sizes: Sequence[int] | None = None,
) -> list[Value]:
    """Attention among queries, keys and values, one after the other in the last axis; keys and values.

    Args:
        ctx: the node, whose attributes are those of Attention.
        product: [batch, length, features].
        mask: of integers, as `_padding` takes it.
        past: keys and values of earlier runs, [2, batch, heads, length, width].
        added: what is added to the scores.
        sizes: how many features queries, keys and values have, if they differ.
    """
    heads = ctx.required("num_heads")
    if ctx.attr("do_rotary"):
        ctx.fail("its own rotary embedding is not supported")
    total = product.shape[-1]
    if not isinstance(total, int):
        ctx.fail(f"its weight has {total} columns")
    widths = list(sizes) if sizes else [total // 3] * 3
    starts = (0, widths[0], widths[0] + widths[1])
    q, k, v = (
        split_heads(ctx, slice_axis(ctx, product, 2, start, width), heads)
        for start, width in zip(starts, widths, strict=True)
    )
    if past is not None:
        shape = past.shape[1:]
        old = [ctx.reshape(slice_axis(ctx, past, 0, i, 1), shape) for i in range(2)]
        k, v = appended(ctx, old[0], k), appended(ctx, old[1], v)
    masks = Masks(ctx, added)
    if mask is not None:
        masks.add(_padding(ctx, mask, k))
    results = [_attend(ctx, q, k, v, masks, old[0] if past is not None else None)]
    if any(ctx.outputs[1:]):
        results.append(stacked(ctx, [k, v]))
    return results


def rotated(
    ctx: NodeContext, x: Value, positions: Value, cos: Value, sin: Value, *, interleaved: bool
) -> Value:
    """x [batch, heads, length, width] turned by angles at positions [1 or batch, length] of two tables.

    What the tables have no angles for, at the end of each head, stays as it is.
    """
    width, turned = x.shape[-1], 2 * cos.shape[-1]
    cos, sin = (ctx.one("Gather", table, positions, axis=0) for table in (cos, sin))
    cos, sin = (ctx.reshape(t, (t.shape[0], 1, *t.shape[1:])) for t in (cos, sin))
    whole = width == turned
    part = x if whole else slice_axis(ctx, x, 3, 0, turned)
    result = ctx.one("RotaryEmbedding", part, cos, sin, interleaved=interleaved)
    if whole:
        return result
    return ctx.one("Concat", result, slice_axis(ctx, x, 3, turned, width - turned), axis=3)


@handles("RotaryEmbedding", domain=MICROSOFT)
def rotary_embedding(ctx: NodeContext) -> Value:
    """Of heads, apart or not, at given positions of tables of angles."""
    x, positions, cos, sin = (ctx.input(i) for i in range(4))
    heads, part = ctx.attr("num_heads"), ctx.attr("rotary_embedding_dim") or 0
    if _number(ctx, "scale", 1.0) != 1.0 or ctx.attr("is_packed_batching"):
        ctx.fail("a scale or packed batches are not supported")
    if part and (part != 2 * cos.shape[-1] or not (heads or x.rank == 4)):
        ctx.invalid(f"tables of shape {cos.shape} for {part} of the features of {heads} heads")
    length = x.shape[-2]
    if positions.elements == 1:  # of the first token
        steps = ctx.one("Range", size=length, dtype=DType.I64)
        positions = ctx.one("Add", steps, ctx.cast(ctx.reshape(positions, (1,)), DType.I64))
        positions = ctx.reshape(positions, (1, length))
    interleaved = bool(ctx.attr("interleaved"))
    if x.rank == 4:
        return rotated(ctx, x, positions, cos, sin, interleaved=interleaved)
    apart = split_heads(ctx, x, heads or floordiv(x.shape[2], 2 * cos.shape[-1]))
    return join_heads(ctx, rotated(ctx, apart, positions, cos, sin, interleaved=interleaved))
