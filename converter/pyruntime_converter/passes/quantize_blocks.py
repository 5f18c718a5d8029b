"""convert(quantize="int4" or "int8-weights"): weights of float models as levels in blocks; the rest stays.

Blocks of 32 weights that are added up share a scale; levels lie around the middle of their range. What is
multiplied with them stays as it is, so that no data to calibrate with is needed, and NaN and infinities go
where they went.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Graph, Node, Value
from pyruntime.ir.kernel import middle_level
from pyruntime.ops.builder import Builder
from pyruntime_converter.blocks import rows, words_of
from pyruntime_converter.passes.quantize import (
    MIN_ELEMENTS,
    MIN_OUTPUTS,
    MIN_TERMS,
    STATES,
    TABLES,
    Quantized,
    tables_of,
)
from pyruntime_converter.passes.rewriter import constant_of, rewrite

BLOCK = 32
# scales that are tried, as parts of the one by which a block's largest weight takes the outermost level
TRIED = {4: (1.0, 0.95, 0.9, 0.85, 0.8), 8: (1.0,)}
_AT_ONCE = 1 << 22  # weights


def quantize_blocks(graph: Graph, found: Quantized, bits: int) -> None:
    """Products with constant matrices, and tables of rows, by levels of so many bits."""
    tables = {table for table in tables_of(graph) if _takes_rows(graph, table)}

    def rule(node: Node, builder: Builder) -> Value | None:
        if node.op in TABLES and node.input(0) in tables:
            found.note(node)
            return _rows(node, builder, bits)
        if node.op in STATES and any(constant_of(v) for v in node.inputs[1:]):
            found.note(node, "recurrent weights stay floats")
        if node.op == "Conv" and constant_of(node.inputs[1]):
            found.note(node, "filters of convolutions stay floats")
        if node.op != "MatMul" or not constant_of(node.inputs[1]):
            return None
        reason = _refused(node)
        found.note(node, reason)
        return None if reason else _product(node, builder, bits)

    rewrite(graph, rule)


def block_levels(
    weight: NDArray[np.float32], bits: int, block: int = BLOCK
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A weight [n, k] as levels [n, k] less the middle one, and a scale for each block, [n, blocks].

    Of several scales a block gets the one that leaves the least sum of squares.
    """
    levels = np.empty(weight.shape, np.uint8)
    scales = np.empty((len(weight), -(-weight.shape[1] // block)), np.float32)
    each = max(1, _AT_ONCE // max(weight.shape[1], 1))
    for first in range(0, len(weight), each):
        part = slice(first, first + each)
        levels[part], scales[part] = _levels(weight[part], bits, block)
    return levels, scales


def _levels(
    weight: NDArray[np.float32], bits: int, block: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    n, k = weight.shape
    middle = middle_level(bits)
    whole = np.zeros((n, -(-k // block) * block), np.float32)
    whole[:, :k] = weight
    blocks = whole.reshape(n, -1, block)
    # there is one level more below the middle than above: it is for the largest weight, whatever its sign
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(-1, keepdims=True), -1)
    outermost: NDArray[Any] = largest / np.float32(-middle)
    # errors are told in units of the block, so that no square leaves float32
    unit = np.where(outermost == 0, 1, outermost)
    scaled = blocks / unit
    scales, best = outermost, np.zeros_like(blocks)
    least = np.full(outermost.shape, np.inf, np.float32)
    for factor in TRIED[bits]:
        tried = _storable(outermost * np.float32(factor))
        step = tried / unit
        found = np.clip(np.rint(scaled / np.where(step == 0, 1, step)), -middle, middle - 1)
        error = np.square(found * step - scaled).sum(-1, keepdims=True)
        better = error < least
        scales, least, best = (
            np.where(better, new, old) for new, old in ((tried, scales), (error, least), (found, best))
        )
    return (best + middle).astype(np.uint8).reshape(n, -1)[:, :k], scales[..., 0]


def _storable(scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scales rounded to float16 where that is near: `weights="f16"` then changes none."""
    half = np.finfo(np.float16)
    normal = (np.abs(scales) >= half.smallest_normal) & (np.abs(scales) <= half.max)
    return np.where(normal, np.where(normal, scales, 0).astype(np.float16).astype(np.float32), scales)


def _refused(node: Node) -> str:
    """Why a product stays in floats; empty where it need not."""
    weight = node.input(1).data
    assert weight is not None
    if node.output.dtype not in (DType.F32, DType.F16):
        return f"computes in {node.output.dtype!r}"
    if weight.ndim != 2:
        return "an operand is a vector or a stack of matrices"
    terms, outputs = weight.shape
    if terms < MIN_TERMS or outputs < MIN_OUTPUTS or weight.size < MIN_ELEMENTS:
        return f"too small: {terms} terms, {outputs} outputs"
    return "" if np.isfinite(weight).all() else "a weight is not finite"


def _product(node: Node, builder: Builder, bits: int) -> Value:
    weight = node.input(1)
    assert weight.data is not None
    k, n = weight.data.shape
    levels, scales = block_levels(weight.data.T.astype(np.float32, copy=False), bits)
    octets = words_of(levels, bits, BLOCK).astype("<u4", copy=False).view(np.uint8)
    result = builder.one(
        "BlockMatMul",
        builder.one("Cast", node.input(0), to=DType.F32),
        builder.constant(octets.reshape(n, scales.shape[1], -1), name=weight.name),
        builder.constant(scales, name=f"{weight.name}.scales"),
        bits=bits,
        block=BLOCK,
        k=k,
    )
    return builder.one("Cast", result, to=node.output.dtype)


def _takes_rows(graph: Graph, table: Value) -> bool:
    """Whether all that read a table take whole rows."""
    width = table.shape[1]
    return all(
        n.op != "Slice" or (n.attrs["starts"][1], n.attrs["sizes"][1], n.attrs["steps"][1]) == (0, width, 1)
        for n in graph.uses()[table]
    )


def _rows(node: Node, builder: Builder, bits: int) -> Value:
    """What a node takes of a table."""
    table = node.input(0)
    assert table.data is not None
    levels, scales = block_levels(table.data, bits)
    words = builder.constant(words_of(levels, bits, BLOCK), name=table.name)
    shared = builder.constant(scales, name=f"{table.name}.scales")

    def take(of: Value) -> Value:
        attrs = dict(node.attrs)
        if node.op == "Slice":
            attrs["sizes"] = (attrs["sizes"][0], of.shape[1])
        return builder.one(node.op, of, *node.inputs[1:], **attrs)

    return rows(builder, take, words, shared, None, bits, table.data.shape[1])
