"""Quantize with a constant scale divides nothing: its inverse goes into the constants of what it is given."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Graph, Node, Value
from pyruntime.ops.builder import Builder
from pyruntime_converter.passes.cleanup import eliminate_dead
from pyruntime_converter.passes.dequantized import zero_of
from pyruntime_converter.passes.patterns import made_by
from pyruntime_converter.passes.rewriter import constant_of, rewrite

_BOTH = frozenset({"Add", "Sub", "Max", "Min"})  # scaled where both operands are
_FIRST = frozenset({"Relu", "LeakyRelu"})  # scaled by a positive number where their operand is
_DEPTH = 16


def fold_scales(graph: Graph) -> None:
    """x / scale of Quantize as a multiplication, where possible one that Dequantize below it does anyway.

    Sums in int32 are corrected by a constant after they are scaled, together with a bias.
    """
    for rule in (_correction, _bias, _division):
        eliminate_dead(graph)  # what is read by dead nodes alone is not read
        once = {v for v, readers in graph.uses().items() if len(readers) == 1} - set(graph.outputs)
        rewrite(graph, partial(rule, only=once))


def _correction(node: Node, builder: Builder, only: set[Value]) -> Value | None:
    """(sums - constant) * scale as sums * scale - constant * scale."""
    if node.op != "Dequantize" or zero_of(node) is not None:
        return None
    sub, scale = made_by(node.input(0), "Sub"), node.input(1).data
    if sub is None or sub.output not in only or scale is None or sub.output.dtype is not DType.I32:
        return None
    constant = sub.input(1).data
    if constant is None or sub.input(0).shape != sub.output.shape:
        return None
    moved = builder.one("Dequantize", sub.input(0), node.input(1))
    return builder.one("Add", moved, builder.constant(-(constant * scale.astype(np.float64)), DType.F32))


def _bias(node: Node, builder: Builder, only: set[Value]) -> Value | None:
    """Two constants that are added to what is dequantised are one."""
    inner = made_by(node.input(0), "Add") if node.op == "Add" else None
    if inner is None or inner.output not in only or made_by(inner.input(0), "Dequantize") is None:
        return None
    first, second = inner.input(1).data, node.input(1).data
    if first is None or second is None or inner.output.shape != node.output.shape:
        return None
    return builder.one("Add", inner.input(0), builder.constant(first + second))


def _division(node: Node, builder: Builder, only: set[Value]) -> Value | None:
    if node.op != "Quantize" or node.input(0).dtype is not DType.F32:
        return None
    scale = node.input(1).data
    if scale is None or scale.size != 1 or not 0 < scale.item() < np.inf or scale.item() == 1:
        return None
    factor, x = 1 / scale.reshape(()).astype(np.float64), node.input(0)
    moved = _scaled(x, factor, builder, only, _DEPTH) or _multiplied(x, factor, builder)
    return builder.one("Quantize", moved, builder.constant(1, DType.F32), node.input(2))


def _scaled(
    value: Value, factor: NDArray[np.float64], builder: Builder, only: set[Value], depth: int
) -> Value | None:
    """value times a positive factor without a multiplication of its own, or None."""
    if value.data is not None:
        return builder.constant(value.data * factor, DType.F32, value.name)
    node = value.producer
    if node is None or value not in only or not depth:
        return None
    if node.op == "Dequantize" and constant_of(node.inputs[1]):
        scale = node.input(1)
        assert scale.data is not None
        product = builder.constant(scale.data * factor, DType.F32, scale.name)
        return builder.one("Dequantize", node.input(0), product, *node.inputs[2:])
    if node.op in _FIRST:
        below = _scaled(node.input(0), factor, builder, only, depth - 1)
        return None if below is None else builder.one(node.op, below, **node.attrs)
    if node.op in _BOTH:
        sides = [_scaled(node.input(i), factor, builder, only, depth - 1) for i in range(2)]
        if all(s is None or node.input(i).data is not None for i, s in enumerate(sides)):
            return None
        made = [s or _multiplied(node.input(i), factor, builder) for i, s in enumerate(sides)]
        return builder.one(node.op, *made)
    return None


def _multiplied(value: Value, factor: NDArray[np.float64], builder: Builder) -> Value:
    return builder.one("Mul", value, builder.constant(factor, DType.F32))
