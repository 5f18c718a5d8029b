"""convert(quantize="int8"): weights of float models as integers, activations quantised while the model runs.

Weights of products get 7 bits, -63 to 63, with a scale for each output channel, so that kernels may add pairs
of products in 16 bits; in matrices and filters of one pixel, four products. Tables of rows get 8 bits, with a
scale for each row. `passes/levels.py` is about what weights are multiplied with. A depthwise convolution adds
in 32 bits whatever its weights are, so they get 8; it gains nothing unless its input is stored as levels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Graph, Node, Value
from pyruntime.ops.builder import Builder
from pyruntime_converter.integers import convolution, product
from pyruntime_converter.passes.integer_products import with_bias
from pyruntime_converter.passes.levels import (
    MOST,
    Activation,
    bounds,
    levels_of,
    octet_levels_of,
    of_bounded,
    of_images,
    of_rows,
)
from pyruntime_converter.passes.rewriter import constant_of, rewrite
from pyruntime_converter.tied import tied_tables

Quantization = Literal["int8", "int4", "int8-weights"]
WEIGHT_LEVELS = 63
MIN_TERMS = 16  # of a sum: quantising what is multiplied costs as much as a few products
MIN_OUTPUTS = 16
MIN_ELEMENTS = 1024
MIN_TABLE = 4096
MOST_TERMS = (2**31 - 1) // (255 * WEIGHT_LEVELS)
TABLES = frozenset({"Gather", "Embedding", "Slice"})


@dataclass
class Quantized:
    """What a conversion made of the nodes with weights: those in integers, and the others with the reason.

    `form` is how weights become integers: "int8" here, the others in `passes/quantize_blocks.py`.
    """

    form: Quantization = "int8"
    done: dict[str, None] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)

    def note(self, node: Node, reason: str = "") -> None:
        """Note a node as quantised, or why it is not."""
        name = f"{node.origin.op} {node.origin.name}"
        if reason:
            self.left[name] = reason
        else:
            self.done[name] = None


def quantize_weights(graph: Graph, found: Quantized) -> None:
    """Products with constant weights in integers; tables of rows as integers."""
    tables, tied = tables_of(graph), tied_tables(graph)
    dequantized: dict[Value, Value] = {}

    def rule(node: Node, builder: Builder) -> Value | None:
        if node.op in TABLES and node.input(0) in tables:
            table = node.input(0)
            if table not in dequantized:
                product = tied[table].product if table in tied else None
                shared = product is not None and not _refused(product)
                dequantized[table] = _table(builder, table, shared)
            found.note(node)
            return builder.one(node.op, dequantized[table], *node.inputs[1:], **node.attrs)
        if node.op in STATES and any(constant_of(v) for v in node.inputs[1:]):
            found.note(node, "recurrent weights stay float32")
        if node.op not in ("MatMul", "Conv") or not constant_of(node.inputs[1]):
            return None
        reason = _refused(node)
        found.note(node, reason)
        if reason:
            return None
        return _matmul(node, builder) if node.op == "MatMul" else _conv(node, builder)

    rewrite(graph, rule)


STATES = frozenset({"LSTM", "GRU", "RNN"})


def _refused(node: Node) -> str:
    """Why a product stays in floats; empty where it need not."""
    weight = node.input(1).data
    assert weight is not None
    if node.output.dtype is not DType.F32:
        return f"computes in {node.output.dtype!r}"
    if node.op == "MatMul":
        if weight.ndim != 2 or node.input(0).rank < 2:
            return "an operand is a vector or a stack of matrices"
        terms, outputs = weight.shape
    else:
        terms, outputs = math.prod(weight.shape[1:]), weight.shape[0] // node.attrs["group"]
    bounded = node.op == "Conv" and bounds(node.input(0)) is not None
    if _depthwise(node):
        if not bounded:
            return "a depthwise convolution of elements without bounds"
    elif terms < MIN_TERMS or outputs < MIN_OUTPUTS or (weight.size < MIN_ELEMENTS and not bounded):
        return f"too small: {terms} terms, {outputs} outputs"
    if terms > MOST_TERMS:
        return f"{terms} terms are too many for 32 bits"
    return "" if np.isfinite(weight).all() else "a weight is not finite"


def _depthwise(node: Node) -> bool:
    return node.op == "Conv" and node.attrs["group"] > 1 and node.input(1).shape[1] == 1


def _matmul(node: Node, builder: Builder) -> Value:
    weight = node.input(1)
    assert weight.data is not None
    a = of_rows(builder, node.input(0))
    integers, steps = octet_levels_of(weight.data, WEIGHT_LEVELS)
    sums = product(builder, a.levels, builder.constant(integers, name=weight.name), a.zero, None)
    return _scaled(builder, sums, a, integers.sum(0, np.int32), steps.reshape(-1))


def _conv(node: Node, builder: Builder) -> Value:
    weight = node.input(1)
    assert weight.data is not None
    geometry = {k: v for k, v in node.attrs.items() if k != "pad_value"}
    padded = any(not isinstance(p, int) or p for p in geometry["pads"])
    whole = all(d == 1 for d in (*weight.shape[2:], *geometry["strides"], geometry["group"]))
    x = of_bounded(builder, node.input(0))
    if x is None:
        x = of_images(builder, node.input(0), pointwise=whole and not padded, padded=padded)
    inner = tuple(range(1, weight.rank))
    integers, steps = _filter_levels(node, weight.data)
    sums = convolution(
        builder, x.levels, builder.constant(integers, name=weight.name), x.zero, None, geometry
    )
    each = steps.reshape(steps.shape[:-1])
    result = _scaled(builder, sums, x, integers.sum(inner, np.int32).reshape(each.shape), each)
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    return result if bias is None else with_bias(builder, result, bias)


def _filter_levels(node: Node, filters: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Filters [oc, c, kernel...] as integers, and a step for each output channel; one pixel is a matrix."""
    if filters.size == filters.shape[0] * filters.shape[1] and node.attrs["group"] == 1:
        integers, steps = octet_levels_of(filters.reshape(filters.shape[:2]).T, WEIGHT_LEVELS)
        each = (-1, *(1 for _ in filters.shape[1:]))
        return np.ascontiguousarray(integers.T).reshape(filters.shape), steps.reshape(each)
    return levels_of(filters, tuple(range(1, filters.ndim)), MOST if _depthwise(node) else WEIGHT_LEVELS)


def _scaled(
    builder: Builder, sums: Value, x: Activation, totals: NDArray[np.int32], steps: NDArray[np.float32]
) -> Value:
    """Sums of products in float32; `totals` and `steps` of the weights are for each channel."""
    each = builder.constant(steps)
    if x.middle is None:
        return builder.one("Dequantize", sums, builder.one("Mul", x.step, each))
    moved = builder.one("Mul", x.middle, builder.constant(totals, DType.F32))
    total = builder.one("Add", builder.one("Dequantize", sums, x.step), moved)
    return builder.one("Mul", total, each)


def tables_of(graph: Graph) -> set[Value]:
    """Float matrices of constants that nodes take rows of and do nothing else with."""
    readers = graph.uses()
    found = set()
    for value, nodes in readers.items():
        if value.data is None or value.dtype is not DType.F32 or value.rank != 2:
            continue
        rows = all(n.op in TABLES and n.inputs[0] is value and n.attrs.get("axis", 0) == 0 for n in nodes)
        if rows and value.data.size >= MIN_TABLE and np.isfinite(value.data).all():
            found.add(value)
    return found - set(graph.outputs)


def _table(builder: Builder, table: Value, shared: bool) -> Value:
    """A table in integers; one that is `shared` with a product in those of the product's weight."""
    assert table.data is not None
    if shared:
        weight, steps = octet_levels_of(table.data.T, WEIGHT_LEVELS)
        integers, scales = np.ascontiguousarray(weight.T), steps.reshape(-1, 1)
    else:
        integers, scales = levels_of(table.data, (1,), MOST)
    return builder.one("Dequantize", builder.constant(integers, name=table.name), builder.constant(scales))
