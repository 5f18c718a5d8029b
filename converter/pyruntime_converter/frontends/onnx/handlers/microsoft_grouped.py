"""GroupQueryAttention, with which ONNX Runtime's exporters write language models."""

from __future__ import annotations

from pyruntime.ir.conditions import equal
from pyruntime.ir.dims import Dim
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ops.builder import dims_of
from pyruntime_converter.frontends.onnx.context import FIX_DIMS, NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.attention import (
    Masks,
    appended,
    join_heads,
    numbers,
    split_heads,
)
from pyruntime_converter.frontends.onnx.handlers.common import levelled_axis, slice_axis
from pyruntime_converter.frontends.onnx.handlers.microsoft import rotated
from pyruntime_converter.frontends.onnx.handlers.quantization import MICROSOFT

# attributes that ask for what is not converted, and the values of them that do not
_PLAIN = {
    "smooth_softmax": (0, -1),
    "qk_output": (0,),
    "kv_cache_bit_width": (0,),
    "k_quant_type": ("NONE", ""),
    "v_quant_type": ("NONE", ""),
    "sliding_window_cache": (0,),
    "causal": (1,),
}


@handles("GroupQueryAttention", domain=MICROSOFT)
def group_query_attention(ctx: NodeContext) -> list[Value]:
    """Causal attention whose caches grow by the new keys and values, with rotary embedding where it says so.

    A batch's element has `seqlens_k` + 1 keys in all. Where these are not known to be all, its new ones
    stand behind its own old ones, and zeros behind them, as ONNX Runtime has it.
    """
    for name, plain in _PLAIN.items():
        value = ctx.attr(name)
        if value is not None and value not in plain:
            ctx.fail(f"attribute {name} = {value!r} is not supported")
    q, k, v = _heads(ctx)
    past_k, past_v = ctx.optional(3), ctx.optional(4)
    if (past_k is None) != (past_v is None):
        ctx.invalid("it has a cache of keys or of values alone")
    if k.dtype is not q.dtype or (past_k is not None and past_k.dtype is not k.dtype):
        ctx.fail("a cache of another type than its keys is not supported")
    new: Dim = q.shape[2]
    old: Dim = 0 if past_k is None else past_k.shape[2]
    (total,) = ctx.known(ctx.input(6), "total_sequence_length")
    ctx.require(equal(total, old + new), f"{total} keys in all must be {old} old ones and {new} new ones")
    first = _first(ctx, old, new)
    if ctx.attr("do_rotary"):
        q, k = _rotated(ctx, q, k, first, old)
    if first is None:
        k, v = appended(ctx, past_k, k), appended(ctx, past_v, v)
    else:
        k, v = _placed(ctx, past_k, k, first), _placed(ctx, past_v, v, first)
    masks, causal = _masks(ctx, old, new, first)
    width, scale = q.shape[-1], ctx.attr("scale")
    if not scale and not isinstance(width, int):
        ctx.fail(f"its heads' width {width} depends on the input sizes", FIX_DIMS)
    result = ctx.one(
        "Attention",
        q,
        k,
        v,
        masks.combined(),
        scale=float(scale) if scale else float(str(width)) ** -0.5,
        softcap=float(ctx.attr("softcap") or 0),
        causal=causal,
        past=old,
    )
    return [join_heads(ctx, result), k, v]


def _heads(ctx: NodeContext) -> tuple[Value, Value, Value]:
    """Queries, keys and values as [batch, heads, length, width], which may be packed in one input."""
    query, key, value = ctx.input(0), ctx.optional(1), ctx.optional(2)
    heads, groups = ctx.required("num_heads"), ctx.required("kv_num_heads")
    if query.rank != 3 or heads < 1 or groups < 1 or heads % groups:
        ctx.invalid(f"{heads} heads in {groups} groups for queries of shape {query.shape}")
    if key is None or value is None:
        features = query.shape[2]
        if not isinstance(features, int) or features % (heads + 2 * groups):
            ctx.invalid(f"{features} packed features for {heads} heads in {groups} groups")
        width = features // (heads + 2 * groups)
        starts = (0, heads * width, (heads + groups) * width)
        sizes = (heads * width, groups * width, groups * width)
        packed = query
        query, key, value = (
            slice_axis(ctx, packed, 2, start, size) for start, size in zip(starts, sizes, strict=True)
        )
    return split_heads(ctx, query, heads), split_heads(ctx, key, groups), split_heads(ctx, value, groups)


def _first(ctx: NodeContext, old: Dim, new: Dim) -> Value | None:
    """Each element's number of old keys as int32 [batch, 1, 1, 1]; None where it is `old` for all of them."""
    lengths = ctx.input(5)
    known = dims_of(lengths)
    if old == 0 or (known is not None and all(equal(d + 1, old + new) == 1 for d in known)):
        return None
    each = ctx.cast(ctx.reshape(lengths, (lengths.elements, 1, 1, 1)), DType.I32)
    each = ctx.one("Sub", each, ctx.builder.dims(new - 1, DType.I32))
    # in a first run nobody has old ones, however much of what is new is padding
    each = ctx.one("Max", each, ctx.builder.constant(0, DType.I32))
    return ctx.one("Min", each, ctx.builder.dims(old, DType.I32))


def _rotated(ctx: NodeContext, q: Value, k: Value, first: Value | None, old: Dim) -> tuple[Value, Value]:
    """Queries and keys turned by their positions: as they are fed, or behind the old ones."""
    cos, sin, positions = ctx.input(7), ctx.input(8), ctx.optional(9)
    batch, _, new, _ = q.shape
    if positions is None:
        steps = ctx.one("Range", size=new, dtype=DType.I32)
        start = ctx.builder.dims(old, DType.I32) if first is None else ctx.reshape(first, (batch, 1))
        positions = ctx.one("Add", ctx.reshape(steps, (1, new)), start)
    interleaved = bool(ctx.attr("rotary_interleaved"))
    turned = [rotated(ctx, x, positions, cos, sin, interleaved=interleaved) for x in (q, k)]
    return turned[0], turned[1]


def _placed(ctx: NodeContext, past: Value | None, x: Value, first: Value) -> Value:
    """New keys or values behind as many old ones as each element has, and zeros behind them."""
    assert past is not None  # or all would be known to have none
    batch, heads, new, width = x.shape
    size = past.shape[2] + new
    place = ctx.one("Sub", numbers(ctx, size, 1, DType.I32), first)  # among the new ones
    zero = ctx.builder.constant(0, DType.I32)
    within = ctx.one("Min", ctx.one("Max", place, zero), ctx.builder.dims(new - 1, DType.I32))
    shape = (batch, heads, size, width)
    found = ctx.one("GatherElements", x, ctx.one("Expand", within, shape=shape), axis=2)
    none = (0,) * 4
    kept = ctx.one("Pad", past, before=none, after=(0, 0, new, 0), mode="constant", value=0)
    found = ctx.one("Where", ctx.one("Less", place, ctx.builder.dims(new, DType.I32)), found, ctx.like(0, x))
    return ctx.one("Where", ctx.one("Less", place, zero), kept, found)


def _masks(ctx: NodeContext, old: Dim, new: Dim, first: Value | None) -> tuple[Masks, bool]:
    """The masks, and whether beside them a query sees no keys behind it."""
    bias, window = ctx.optional(10), ctx.attr("local_window_size")
    masks = Masks(ctx)
    if bias is not None:
        masks.add(levelled_axis(ctx, bias, bias.rank - 1, old + new))
    keys = numbers(ctx, old + new, 0, DType.I32)
    start = ctx.builder.dims(old, DType.I32) if first is None else first
    last = ctx.one("Add", numbers(ctx, new, 1, DType.I32), start)  # the key of a query's own position
    if first is not None:
        masks.add(ctx.one("LessOrEqual", keys, last))
    if window is not None and window > 0:
        masks.add(ctx.one("Less", last, ctx.one("Add", keys, ctx.builder.constant(window, DType.I32))))
    return masks, first is None
