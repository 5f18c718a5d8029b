"""Lets 8-bit values be moved as such: Dequantize goes below movement ops, Quantize above Concat."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pyruntime.ir.graph import Graph, Node, Value
from pyruntime.ops.builder import Builder
from pyruntime.ops.definition import Elementwise, definition
from pyruntime_converter.integers import is_zero
from pyruntime_converter.passes.patterns import made_by
from pyruntime_converter.passes.rewriter import constant_of, rewrite


def sink_dequantize(graph: Graph) -> None:
    """Reshapes, transposes, slices, gathers and max pools of dequantised values become those of integers.

    What is quantised as it was dequantised, perhaps with a Concat between, is not converted at all.
    """
    uses = graph.uses()
    only = {v for v, readers in uses.items() if len(readers) == 1} - set(graph.outputs)

    def rule(node: Node, builder: Builder) -> Value | None:
        if node.op == "Quantize":
            return _cancelled(node) or _hoisted(node, node.input(0), builder, only)
        move = _MOVES.get(node.op)
        source = made_by(node.inputs[0], "Dequantize") if move else None
        return move(node, source, builder) if move and source else None

    rewrite(graph, rule)


def settle_weights(graph: Graph) -> None:
    """Dequantised weights that structured ops read become floats; elementwise ops convert as they read."""
    readers: dict[Value, list[Node]] = graph.uses()

    def rule(node: Node, builder: Builder) -> Value | None:
        if node.op != "Dequantize" or not all(constant_of(v) for v in node.inputs):
            return None
        read_by = readers.get(node.output, [])
        if read_by and all(isinstance(definition(n.op), Elementwise) for n in read_by):
            return None
        (array,) = definition(node.op).reference([v.data for v in node.inputs if v], node.attrs)
        return builder.constant(array, name=node.input(0).name)

    rewrite(graph, rule)


def equal(a: Value, b: Value) -> bool:
    """Whether two values are one, or constants with the same elements."""
    if a is b:
        return True
    return (
        a.data is not None
        and b.data is not None
        and (a.dtype, a.shape) == (b.dtype, b.shape)
        and bool(np.array_equal(a.data, b.data))
    )


def zero_of(node: Node) -> Value | None:
    """The zero point of a Dequantize."""
    return node.inputs[2] if len(node.inputs) > 2 else None


def _cancelled(node: Node) -> Value | None:
    """The integers that Dequantize was given, where scale and zero point are the same."""
    source = made_by(node.input(0), "Dequantize")
    if source is None or source.input(0).dtype is not node.output.dtype:
        return None
    zero = zero_of(source)
    same = is_zero(node.input(2)) if zero is None else equal(zero, node.input(2))
    x = source.input(0)
    return x if same and equal(source.input(1), node.input(1)) and x.shape == node.output.shape else None


def _hoisted(node: Node, value: Value, builder: Builder, only: set[Value]) -> Value | None:
    """value quantised as node says, where that happens above a Concat of which nothing else is read."""
    if any(v.rank for v in node.inputs[1:] if v is not None):
        return None
    above = made_by(value, "Concat", "Reshape", "Transpose")
    if above is None or value not in only:
        return None
    if above.op != "Concat":
        moved = _hoisted(node, above.input(0), builder, only)
        return None if moved is None else builder.one(above.op, moved, **above.attrs)
    parts = []
    for part in above.inputs:
        quantised = builder.one("Quantize", part, *node.inputs[1:])
        maker = quantised.producer
        parts.append((maker and _cancelled(maker)) or quantised)
    return builder.one("Concat", *parts, axis=above.attrs["axis"])


Move = Callable[[Node, Node, Builder], Value | None]


def _moved(node: Node, source: Node, builder: Builder) -> Value | None:
    """A movement op on integers with a scale for all of them, or one that Transpose or Slice can move too."""
    x, *parameters = source.inputs
    moved = [_parameter(node, source, p, builder) for p in parameters]
    if any(m is None and p is not None for m, p in zip(moved, parameters, strict=True)):
        return None
    others = node.inputs[1:]
    return builder.one("Dequantize", builder.one(node.op, x, *others, **node.attrs), *moved)


def _parameter(node: Node, source: Node, value: Value | None, builder: Builder) -> Value | None:
    """A scale or zero point as the movement leaves it."""
    if value is None or value.rank == 0:
        return value
    rank = source.output.rank
    full = builder.one("Reshape", value, shape=(*(1 for _ in range(rank - value.rank)), *value.shape))
    attrs = node.attrs
    if node.op == "Transpose":
        return builder.one("Transpose", full, perm=attrs["perm"])
    if node.op == "Slice":
        own = [d == 1 for d in full.shape]
        return builder.one(
            "Slice",
            full,
            starts=tuple(0 if one else s for one, s in zip(own, attrs["starts"], strict=True)),
            sizes=tuple(1 if one else s for one, s in zip(own, attrs["sizes"], strict=True)),
            steps=tuple(1 if one else s for one, s in zip(own, attrs["steps"], strict=True)),
        )
    if node.op in ("Gather", "Embedding"):
        axis, indices = attrs["axis"], node.input(1)
        if full.shape[axis] != 1:
            return builder.one(node.op, full, indices, **attrs)
        ones = (1 for _ in range(indices.rank))
        return builder.one("Reshape", full, shape=(*full.shape[:axis], *ones, *full.shape[axis + 1 :]))
    return None


def _embedding(node: Node, source: Node, builder: Builder) -> Value | None:
    """Outside of the table it gives zeros: only where the integer zero stands for it."""
    return _moved(node, source, builder) if is_zero(zero_of(source)) else None


def _pooled(node: Node, source: Node, builder: Builder) -> Value | None:
    """The largest element is that of the largest integer, where a larger integer is a larger number."""
    scale = source.input(1)
    if scale.data is None or scale.rank or not scale.data > 0 or source.input(0).dtype.bits != 8:
        return None
    zero = zero_of(source)
    return _moved(node, source, builder) if zero is None or not zero.rank else None


_MOVES: dict[str, Move] = {
    **dict.fromkeys(("Reshape", "Transpose", "Slice", "Gather", "Expand"), _moved),
    "Embedding": _embedding,
    "MaxPool": _pooled,
}
