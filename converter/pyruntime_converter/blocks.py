"""Weights of small integers in blocks over other operators: rows of tables, and what only a run knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dims import floordiv, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ir.kernel import middle_level
from pyruntime.ops.blocks import to_bytes
from pyruntime.ops.builder import Builder

Array = NDArray[Any]


def apart(builder: Builder, units: Value, bits: int) -> Value:
    """The levels in unsigned integers, those in the lower bits first, along one more axis."""
    spread = builder.one("Reshape", units, shape=(*units.shape, 1))
    if bits == units.dtype.bits:
        return spread
    shifts = builder.constant(np.arange(0, units.dtype.bits, bits), units.dtype)
    moved = builder.one("BitShift", spread, shifts, direction="RIGHT")
    return builder.one("BitwiseAnd", moved, builder.constant((1 << bits) - 1, units.dtype))


def levels_in(builder: Builder, packed: Value, bits: int) -> Value:
    """The levels of bytes along the last axis."""
    whole = apart(builder, packed, bits)
    shape = (*packed.shape[:-1], packed.shape[-1] * (packed.dtype.bits // bits))
    return builder.one("Reshape", whole, shape=shape)


def words_of(levels: Array, bits: int, block: int) -> Array:
    """Levels [..., k] as uint32 [..., words], whole blocks, zero-filled."""
    whole = np.zeros((*levels.shape[:-1], -(-levels.shape[-1] // block) * block), np.uint8)
    whole[..., : levels.shape[-1]] = levels
    return np.ascontiguousarray(to_bytes(whole, bits)).view("<u4").astype(np.uint32, copy=False)


def rows(
    builder: Builder,
    take: Callable[[Value], Value],
    words: Value,
    scales: Value,
    zeros: Value | None,
    bits: int,
    k: int,
) -> Value:
    """What `take` gives for the float table [n, ..., k] that the other arguments stand for.

    `take` takes rows along the first axis, as Gather does, of words as of `words_of` and of scales and zero
    points [n, ..., blocks]; without zero points levels have the middle one.
    """
    taken = take(words)
    *outer, count = taken.shape
    blocks = scales.shape[-1]
    parts = apart(
        builder, builder.one("Reshape", taken, shape=(*outer, blocks, floordiv(count, blocks))), bits
    )

    def shared(each: Value) -> Value:
        return builder.one("Reshape", take(each), shape=(*outer, blocks, 1, 1))

    zero = builder.constant(middle_level(bits), DType.F32) if zeros is None else shared(zeros)
    levels = builder.one("Sub", builder.one("Cast", parts, to=DType.F32), zero)
    elements = builder.one("Mul", levels, shared(scales))
    flat = builder.one("Reshape", elements, shape=(*outer, product(elements.shape[len(outer) :])))
    if flat.shape[-1] == k:
        return flat
    return builder.one("Slice", flat, starts=(0,) * flat.rank, sizes=(*outer, k), steps=(1,) * flat.rank)


def spelled(builder: Builder, inputs: list[Value | None], attrs: dict[str, Any]) -> Value:
    """A BlockMatMul over MatMul, whose weight need be no constant."""
    a, packed, scales, *rest = inputs
    assert a is not None
    assert packed is not None
    assert scales is not None
    bits, block, k = attrs["bits"], attrs["block"], attrs["k"]
    levels = levels_in(builder, packed, bits)
    n, blocks, _ = levels.shape
    zero = builder.one("Reshape", rest[0], shape=(n, blocks, 1)) if rest and rest[0] else None
    if zero is None:
        zero = builder.constant(middle_level(bits), DType.F32)
    scale = builder.one("Reshape", scales, shape=(n, blocks, 1))
    whole = builder.one("Mul", builder.one("Sub", builder.one("Cast", levels, to=DType.F32), zero), scale)
    flat = builder.one("Reshape", whole, shape=(n, blocks * block))
    columns = builder.one("Slice", flat, starts=(0, 0), sizes=(n, k), steps=(1, 1))
    left = a if a.rank > 1 else builder.one("Reshape", a, shape=(1, k))
    result = builder.one("MatMul", left, builder.one("Transpose", columns, perm=(1, 0)))
    return result if a.rank > 1 else builder.one("Reshape", result, shape=(n,))
