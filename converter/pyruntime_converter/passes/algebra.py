"""Simplifications that need no more than a node and its operands."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pyruntime.ir.dims import Dim, at_least
from pyruntime.ir.graph import Graph, Node, Value
from pyruntime.ops.builder import Builder
from pyruntime_converter.passes.rewriter import rewrite

# ops that leave x as it is when their other operand is this constant (second operand; first too if marked)
_NEUTRAL: dict[str, tuple[float, bool]] = {
    "Add": (0, True),
    "Sub": (0, False),
    "Mul": (1, True),
    "Div": (1, False),
    "Pow": (1, False),
}


def simplify(graph: Graph) -> None:
    """Remove what changes nothing, and slices that take back what a Concat put together."""
    rules: dict[str, Callable[[Node, Builder], Value | None]] = {
        "Identity": lambda node, _: node.input(0),
        "Reshape": _reshape,
        "Expand": lambda node, _: _if_same_shape(node),
        "Transpose": _transpose,
        "Cast": lambda node, _: node.input(0) if node.output.dtype is node.input(0).dtype else None,
        "Slice": _slice,
        "Where": _where,
        **dict.fromkeys(_NEUTRAL, _neutral),
        "Sub": lambda node, builder: _zeros(node, builder) or _neutral(node, builder),
    }

    def rule(node: Node, builder: Builder) -> Value | None:
        handler = rules.get(node.op)
        return handler(node, builder) if handler else None

    rewrite(graph, rule)


def _if_same_shape(node: Node) -> Value | None:
    return node.input(0) if node.input(0).shape == node.output.shape else None


def _neutral(node: Node, _: Builder) -> Value | None:
    constant, either = _NEUTRAL[node.op]
    for x, other in ((0, 1), (1, 0))[: 2 if either else 1]:
        data = node.input(other).data
        same = node.input(x).shape == node.output.shape and node.input(x).dtype is node.output.dtype
        if data is not None and data.size and same and bool(np.all(data == constant)):
            return node.input(x)
    return None


def _zeros(node: Node, builder: Builder) -> Value | None:
    """What is left of an integer without itself, as exporters make zeros of a shape (floats may be NaN)."""
    x = node.output
    if node.input(0) is not node.input(1) or not x.dtype.is_integer:
        return None
    return builder.one("Expand", builder.constant(0, x.dtype), shape=x.shape)


def _where(node: Node, _: Builder) -> Value | None:
    """A choice that is the same everywhere."""
    choice = node.input(0).data
    if choice is None or not choice.size or not (choice.all() or not choice.any()):
        return None
    chosen = node.input(1 if choice.all() else 2)
    return chosen if chosen.shape == node.output.shape else None


def _reshape(node: Node, builder: Builder) -> Value | None:
    producer, source = node.input(0).producer, node.input(0)
    if producer is not None and producer.op == "Reshape":
        source = producer.input(0)
    if source.shape == node.output.shape:
        return source
    if source is not node.input(0):
        return builder.one("Reshape", source, shape=node.output.shape)
    return None


def _transpose(node: Node, builder: Builder) -> Value | None:
    perm = node.attrs["perm"]
    if list(perm) == sorted(perm):
        return node.input(0)
    producer = node.input(0).producer
    if producer is not None and producer.op == "Transpose":
        inner = producer.attrs["perm"]
        return builder.one("Transpose", producer.input(0), perm=tuple(inner[p] for p in perm))
    return None


def _slice(node: Node, builder: Builder) -> Value | None:
    """The whole, or a part that lies within one operand of a Concat."""
    source, starts, steps = node.input(0), node.attrs["starts"], node.attrs["steps"]
    if node.output.shape == source.shape and all(s == 1 for s in steps):
        return source
    concat = source.producer
    if concat is None or concat.op != "Concat":
        return None
    axis = concat.attrs["axis"]
    begin: Dim = 0
    start, length = starts[axis], node.output.shape[axis]
    for operand in concat.inputs:
        assert operand is not None
        end = begin + operand.shape[axis]
        if steps[axis] == 1 and at_least(start, begin) and at_least(end, start + length):
            inside = tuple(s - begin if a == axis else s for a, s in enumerate(starts))
            return builder.one("Slice", operand, starts=inside, sizes=node.attrs["sizes"], steps=steps)
        begin = end
    return None
