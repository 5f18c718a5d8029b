"""ONNX Runtime's operators on weights of 4 or 8 bits in blocks: MatMulNBits and GatherBlockQuantized."""

from __future__ import annotations

import numpy as np

from pyruntime.ir.dims import Dim, ceildiv
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ops.blocks import BITS, from_bytes
from pyruntime_converter.blocks import levels_in, rows, words_of
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.quantization import MICROSOFT


def _bits(ctx: NodeContext) -> int:
    bits = ctx.attr("bits")
    if bits is None:
        return 4
    if bits not in BITS:
        ctx.fail(f"levels of {bits} bits are not supported", "Quantise to 4 or 8 bits.")
    return int(bits)


def _block(ctx: NodeContext, default: int | None = None) -> int:
    size = default if default and ctx.attr("block_size") is None else ctx.required("block_size")
    if size < 16 or size & (size - 1):
        ctx.invalid(f"block_size {size} is no power of two from 16 on")
    return int(size)


def _zero_points(ctx: NodeContext, packed: Value, n: Dim, blocks: Dim, bits: int) -> Value:
    """Zero points of n rows as float32 [n, blocks], from bytes or from floats."""
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
    k, n, bits, block = ctx.required("K"), ctx.required("N"), _bits(ctx), _block(ctx)
    ctx.attr("accuracy_level")
    if packed.dtype is not DType.U8:
        ctx.fail(f"levels in {packed.dtype!r} are not supported")
    blocks = ceildiv(k, block)
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
        None if zeros is None else _zero_points(ctx, zeros, n, blocks, bits),
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
    if table.dtype is not DType.U8:
        ctx.fail(f"a table of {table.dtype!r} is not supported", "Store it as uint8.")
    if table.data is None:
        ctx.fail("its table is known at run time only")
    levels = from_bytes(table.data, bits)
    words = ctx.builder.constant(words_of(levels, bits, block), name=table.name)
    blocks, outer = ceildiv(levels.shape[-1], block), table.shape[:-1]
    places = None
    if zeros is not None:
        count = int(np.prod(levels.shape[:-1]))
        places = ctx.reshape(_zero_points(ctx, zeros, count, blocks, bits), (*outer, blocks))
    each = ctx.cast(ctx.reshape(scales, (*outer, blocks)), DType.F32)

    def take(of: Value) -> Value:
        return ctx.one("Gather", of, indices, axis=0)

    taken = rows(ctx.builder, take, words, each, places, bits, levels.shape[-1])
    return ctx.cast(taken, scales.dtype)
