"""Quantize with a constant scale divides nothing: its inverse goes into the constants of what it is given.

Bounds that saturation sets anyway are left out. What tables will hold stays what it is, to the last bit.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Graph, Node, Value
from pyruntime.ops.builder import Builder
from pyruntime.ops.definition import Elementwise, definition
from pyruntime.ops.quantization import limits
from pyruntime_converter.passes.cleanup import eliminate_dead
from pyruntime_converter.passes.dequantized import zero_of
from pyruntime_converter.passes.patterns import made_by, number
from pyruntime_converter.passes.rewriter import rewrite

_BOTH = frozenset({"Add", "Sub", "Max", "Min"})  # scaled where both operands are
_WEIGHTED = frozenset({"Conv", "MatMul"})  # scaled by their weights
_FIRST = frozenset({"Relu", "LeakyRelu"})  # scaled by a positive number where their operand is
_DEPTH = 16


def fold_scales(graph: Graph) -> None:
    """x / scale of Quantize as a multiplication, where possible one that Dequantize below it does anyway.

    Sums in int32 are corrected by a constant after they are scaled, together with a bias.
    """
    for rule in (_correction, _bias, partial(_division, bases={})):
        eliminate_dead(graph)  # what is read by dead nodes alone is not read
        once = {v for v, readers in graph.uses().items() if len(readers) == 1} - set(graph.outputs)
        rewrite(graph, partial(rule, only=once))
    rewrite(graph, _saturation)


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


def _division(
    node: Node, builder: Builder, only: set[Value], bases: dict[Value, Value | None]
) -> Value | None:
    if node.op != "Quantize" or node.input(0).dtype is not DType.F32:
        return None
    scale = node.input(1).data
    if scale is None or scale.size != 1 or not 0 < scale.item() < np.inf or scale.item() == 1:
        return None
    if _tabulated(node, bases):
        return None
    factor, x = 1 / scale.reshape(()).astype(np.float64), node.input(0)
    moved = _scaled(x, factor, builder, only, _DEPTH) or _multiplied(x, factor, builder)
    return builder.one("Quantize", moved, builder.constant(1, DType.F32), node.input(2))


def _tabulated(node: Node, bases: dict[Value, Value | None]) -> bool:
    """Whether one 8-bit tensor alone decides the result, in several steps: a table, which is to be exact."""
    base, source = _base(node.input(0), bases), made_by(node.input(0), "Dequantize")
    return base is not None and (source is None or source.input(0) is not base)


def _base(value: Value, known: dict[Value, Value | None]) -> Value | None:
    """The first 8-bit tensor that decides each element of a value alone, by its element at the same place."""
    pending = [value]
    while pending:
        present = pending[-1]
        operands = [] if present in known else _deciding(present)
        waiting = [v for v in operands if v not in known]
        pending += waiting
        if not waiting:
            pending.pop()
            bases = {known[v] for v in operands}
            base = bases.pop() if len(bases) == 1 else None
            own = present if present.dtype in (DType.I8, DType.U8) else None
            known.setdefault(present, base or own)
    return known[value]


def _deciding(value: Value) -> list[Value]:
    """What decides each element of a value alone, by its element at the same place; none where more does."""
    node = value.producer
    if node is None or not isinstance(definition(node.op), Elementwise):
        return []
    operands = [v for v in node.inputs if v is not None and (v.data is None or v.elements != 1)]
    alike = all(v.data is None and v.shape == value.shape for v in operands)
    return operands if alike else []


def _saturation(node: Node, builder: Builder) -> Value | None:
    """Quantize of Min, Max or Relu with a bound whose level, or one nearer, saturates."""
    if node.op != "Quantize" or not all(v is not None and v.data is not None for v in node.inputs[1:]):
        return None
    scale, zero = node.input(1).data, node.input(2).data
    assert scale is not None
    assert zero is not None
    if scale.size != 1 or zero.size != 1 or scale.item() != 1:
        return None
    low, high = (limit - zero.item() for limit in limits(node.output.dtype))
    x = node.input(0)
    while (made := made_by(x, "Min", "Max", "Relu")) is not None:
        bound = 0.0 if made.op == "Relu" else number(made.input(1))
        level = np.nan if bound is None else np.rint(bound)
        idle = level >= high if made.op == "Min" else level <= low
        if not idle or made.input(0).shape != made.output.shape:
            break
        x = made.input(0)
    return None if x is node.input(0) else builder.one("Quantize", x, *node.inputs[1:])


def _scaled(
    value: Value, factor: NDArray[np.float64], builder: Builder, only: set[Value], depth: int
) -> Value | None:
    """value times a positive factor without a multiplication of its own, or None."""
    if value.data is not None:
        return _constant_times(value, factor, builder)
    node = value.producer
    if node is None or value not in only or not depth:
        return None
    if node.op == "Dequantize":
        scale = _scale_times(node.input(1), factor, builder)
        return None if scale is None else builder.one("Dequantize", node.input(0), scale, *node.inputs[2:])
    if node.op in _WEIGHTED and node.output.dtype is DType.F32:
        weights = [v for v in node.inputs[1:] if v is not None]
        if not all(v in only for v in weights):
            return None
        parts = [_constant_times(v, factor, builder) for v in weights]
        if any(p is None for p in parts):
            return None
        origin, builder.origin = builder.origin, node.origin  # it stays the layer that it is
        made = builder.one(node.op, node.input(0), *parts, **node.attrs)
        builder.origin = origin
        return made
    if node.op in _FIRST:
        below = _scaled(node.input(0), factor, builder, only, depth - 1)
        return None if below is None else builder.one(node.op, below, **node.attrs)
    if node.op in _BOTH:
        sides = [_scaled(node.input(i), factor, builder, only, depth - 1) for i in range(2)]
        if all(s is None or node.input(i).data is not None for i, s in enumerate(sides)):
            return None
        both = [s or _multiplied(node.input(i), factor, builder) for i, s in enumerate(sides)]
        return builder.one(node.op, *both)
    return None


def _constant_times(value: Value, factor: NDArray[np.float64], builder: Builder) -> Value | None:
    """A constant times a factor; None for other values."""
    return None if value.data is None else builder.constant(value.data * factor, DType.F32, value.name)


def _scale_times(scale: Value, factor: NDArray[np.float64], builder: Builder) -> Value | None:
    """A scale times a factor: a constant, or one of which a constant is a factor; else None."""
    product = made_by(scale, "Mul")
    if scale.data is not None or product is None:
        return _constant_times(scale, factor, builder)
    for known, other in (product.inputs, product.inputs[::-1]):
        moved = None if known is None else _constant_times(known, factor, builder)
        if moved is not None:
            return builder.one("Mul", other, moved)
    return None


def _multiplied(value: Value, factor: NDArray[np.float64], builder: Builder) -> Value:
    return builder.one("Mul", value, builder.constant(factor, DType.F32))
