"""ONNX Runtime's operators on weights of few bits in blocks: products, and rows of tables."""

from __future__ import annotations

import numpy as np

from pyruntime.ir.dims import Dim, ceildiv
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ops.blocks import BITS, from_bytes, to_bytes
from pyruntime_converter.blocks import levels_in, rows, words_of
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.matmul import product
from pyruntime_converter.frontends.onnx.handlers.quantization import MICROSOFT

# the sixteen numbers, as shares of a block's largest, of bitsandbytes' two types of 4 bits
_FP4 = (0, 1 / 192, 2 / 3, 1, 1 / 3, 1 / 2, 1 / 6, 1 / 4)
_NF4 = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
    *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
    *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
    *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)
_BNB4 = ((*_FP4, *(-share for share in _FP4)), _NF4)  # by quant_type


_SHORT = (DType.U4, DType.I4)  # one level each, where bytes hold two


def _bits(ctx: NodeContext, *more: int) -> int:
    bits = ctx.attr("bits")
    if bits is None:
        return 4
    if bits not in (*BITS, *more):
        ctx.fail(f"levels of {bits} bits are not supported", "Quantise to 4 or 8 bits.")
    return int(bits)


def _block(ctx: NodeContext, default: int | None = None) -> int:
    size = default if default and ctx.attr("block_size") is None else ctx.required("block_size")
    if size < 16 or size & (size - 1):
        ctx.invalid(f"block_size {size} is no power of two from 16 on")
    return int(size)


def _zero_points(ctx: NodeContext, packed: Value, n: Dim, blocks: Dim, bits: int) -> Value:
    """Zero points of n rows as float32 [n, blocks], from bytes, from 4-bit integers or from floats."""
    if packed.dtype in _SHORT:
        return ctx.cast(ctx.reshape(packed, (n, blocks)), DType.F32)
    if packed.dtype is not DType.U8:
        if not packed.dtype.is_float:
            ctx.fail(f"zero points of {packed.dtype!r} are not supported")
        return ctx.cast(ctx.reshape(packed, (n, blocks)), DType.F32)
    apart = levels_in(ctx.builder, ctx.reshape(packed, (n, ceildiv(blocks * bits, 8))), bits)
    whole = ctx.one("Slice", apart, starts=(0, 0), sizes=(n, blocks), steps=(1, 1))
    return ctx.cast(whole, DType.F32)


@handles("MatMulNBits", domain=MICROSOFT)
def matmul_nbits(ctx: NodeContext) -> Value:
    """A product with levels less their zero points, times a scale for each block of a column; plus a bias.

    Sums are of float32, whatever `accuracy_level` would allow.
    """
    a, packed, scales, zeros = ctx.input(0), ctx.input(1), ctx.input(2), ctx.optional(3)
    groups, bias = ctx.optional(4), ctx.optional(5)
    k, n, bits, block = ctx.required("K"), ctx.required("N"), _bits(ctx, 2), _block(ctx)
    ctx.attr("accuracy_level")
    if packed.dtype is not DType.U8:
        ctx.fail(f"levels in {packed.dtype!r} are not supported")
    blocks = ceildiv(k, block)
    places = None if zeros is None else _zero_points(ctx, zeros, n, blocks, bits)
    if bits == 2:  # kernels read no fewer than 4
        if packed.data is None:
            ctx.fail("its levels of 2 bits are known at run time only")
        packed, bits = ctx.builder.constant(to_bytes(from_bytes(packed.data, 2), 4), name=packed.name), 4
        if places is None:
            places = ctx.one("Expand", ctx.builder.constant(2, DType.F32), shape=(n, blocks))
    if groups is not None:
        in_order = groups.data is not None and np.array_equal(groups.data[:k], np.arange(k) // block)
        if not in_order:
            ctx.fail(
                "g_idx, which gives rows to blocks in another order, is not supported",
                "Export without act-order.",
            )
    result = ctx.one(
        "BlockMatMul",
        ctx.cast(a, DType.F32),
        ctx.reshape(packed, (n, blocks, block * bits // 8)),
        ctx.cast(ctx.reshape(scales, (n, blocks)), DType.F32),
        places,
        bits=bits,
        block=block,
        k=k,
    )
    if bias is not None:
        result = ctx.one("Add", result, ctx.cast(bias, DType.F32))
    return ctx.cast(result, a.dtype)


@handles("GatherBlockQuantized", domain=MICROSOFT)
def gather_block_quantized(ctx: NodeContext) -> Value:
    """Rows of a table of levels in blocks along its last axis, as floats."""
    table, indices, scales, zeros = ctx.input(0), ctx.input(1), ctx.input(2), ctx.optional(3)
    bits, block = _bits(ctx), _block(ctx, 128)
    gather, quantized = ctx.attr("gather_axis") or 0, ctx.attr("quantize_axis")
    last = ctx.axis(1 if quantized is None else quantized, table.rank)
    if ctx.axis(gather, table.rank) != 0 or last != table.rank - 1 or table.rank < 2:
        ctx.fail(f"a table gathered along axis {gather} in blocks along axis {last} is not supported")
    short = table.dtype in _SHORT
    if table.dtype is not DType.U8 and not (short and bits == 4):
        ctx.fail(f"a table of {table.dtype!r} is not supported", "Store it as uint8.")
    if table.data is None:
        ctx.fail("its table is known at run time only")
    # levels are counted from the type's least
    least = -8 if table.dtype is DType.I4 else 0
    levels = (table.data.astype(np.int8) - least).astype(np.uint8) if short else from_bytes(table.data, bits)
    words = ctx.builder.constant(words_of(levels, bits, block), name=table.name)
    blocks, outer = ceildiv(levels.shape[-1], block), table.shape[:-1]
    places = None
    if zeros is not None:
        count = int(np.prod(levels.shape[:-1]))
        places = ctx.reshape(_zero_points(ctx, zeros, count, blocks, bits), (*outer, blocks))
    elif short:  # zero itself, not the middle one
        places = ctx.builder.constant(np.zeros((*levels.shape[:-1], blocks), np.float32))
    if places is not None and least:
        places = ctx.one("Sub", places, ctx.like(least, places))
    each = ctx.cast(ctx.reshape(scales, (*outer, blocks)), DType.F32)

    def take(of: Value) -> Value:
        return ctx.one("Gather", of, indices, axis=0)

    taken = rows(ctx.builder, take, words, each, places, bits, levels.shape[-1])
    return ctx.cast(taken, scales.dtype)


@handles("MatMulBnb4", domain=MICROSOFT)
def matmul_bnb4(ctx: NodeContext) -> Value:
    """A product with a weight [N, K] of bitsandbytes' 4-bit floats, which is spelled out."""
    a, packed, most = ctx.input(0), ctx.input(1), ctx.input(2)
    k, n, kind, block = (ctx.required(name) for name in ("K", "N", "quant_type", "block_size"))
    if ctx.attr("transB") == 0 or ctx.attr("training_mode"):
        ctx.fail("a weight that is not transposed, and training, are not supported")
    if packed.data is None or most.data is None:
        ctx.fail("its weight is known at run time only")
    if kind not in (0, 1) or block < 1 or packed.data.size != -(-n * k // 2):
        ctx.invalid(f"quant_type {kind} and blocks of {block} for {packed.data.size} bytes")
    # the higher bits come first
    levels = np.stack([packed.data.ravel() >> 4, packed.data.ravel() & 15], axis=1).ravel()[: n * k]
    whole = np.repeat(most.data.ravel().astype(np.float32), block)[: n * k]
    if whole.size != n * k:
        ctx.invalid(f"{most.data.size} blocks of {block} for a weight of shape {(n, k)}")
    weight = (np.array(_BNB4[kind], np.float32)[levels] * whole).reshape(n, k).T
    return product(ctx, a, ctx.cast(ctx.builder.constant(weight, name=packed.name), a.dtype))
