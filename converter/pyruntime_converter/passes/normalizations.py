"""Recognises normalisations and softmax that were exported as reductions and arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyruntime.ir.graph import Graph, Node, Value
from pyruntime.ops.builder import Builder
from pyruntime.ops.definition import OpError, broadcast
from pyruntime_converter.passes.patterns import (
    inverse_root,
    made_by,
    mean,
    number,
    orders,
    over_root,
    square,
)
from pyruntime_converter.passes.rewriter import rewrite
from pyruntime_converter.passes.spread import over_axes, trailing

_NORMS = ("LayerNormalization", "RMSNormalization")


def recognise_normalizations(graph: Graph) -> None:
    """Layer norm and RMS norm with their scales and biases, and softmax."""

    def core(node: Node, builder: Builder) -> Value | None:
        if not node.outputs or not node.outputs[0].dtype.is_float:
            return None
        if node.op == "Add":
            return _distributed(node, builder)
        return _softmax(node, builder) or _norm(node, builder) if node.op in ("Mul", "Div") else None

    rewrite(graph, core)
    uses = graph.uses()
    outputs = set(graph.outputs)

    def alone(value: Value) -> bool:
        return len(uses.get(value, ())) == 1 and value not in outputs

    def parameters(node: Node, builder: Builder) -> Value | None:
        if node.op not in ("Mul", "Add"):
            return None
        for x, other in orders(node):
            norm = made_by(x, *_NORMS)
            if norm is not None and node.output.shape == x.shape and alone(x):
                made = _with_parameter(norm, node.op, other, builder)
                if made is not None:
                    uses[made] = uses.get(node.output, [])
                    outputs.update({made} if node.output in outputs else ())
                    return made
        return None

    rewrite(graph, parameters)


def _norm(node: Node, builder: Builder) -> Value | None:
    """(x - mean(x)) / sqrt(variance + epsilon) or x / sqrt(mean(x^2) + epsilon), with a scale of ones."""
    for x, spread, epsilon in over_root(node):
        found = mean(spread)
        squared = None if found is None else square(found[0])
        if found is None or squared is not x or x.shape != node.output.shape:
            continue
        centred = _centred(x, found[1])
        if centred is not None:
            return over_axes(builder, "LayerNormalization", centred, found[1], epsilon)
        return over_axes(builder, "RMSNormalization", x, found[1], epsilon)
    return None


def _centred(value: Value, axes: Sequence[int]) -> Value | None:
    """x where value is x - mean(x) over axes."""
    node = made_by(value, "Sub")
    found = None if node is None else mean(node.input(1))
    if node is None or found is None:
        return None
    return node.input(0) if found[0] is node.input(0) and found[1] == tuple(axes) else None


def _distributed(node: Node, builder: Builder) -> Value | None:
    """x g + (bias - mean(x) g), where g = scale / sqrt(variance + epsilon): as TensorFlow writes it."""
    for product, rest in orders(node):
        scaled, shift = made_by(product, "Mul"), made_by(rest, "Sub")
        minus = None if shift is None else made_by(shift.input(1), "Mul")
        if scaled is None or shift is None or minus is None:
            continue
        for x, gain in orders(scaled):
            for centre, same in orders(minus):
                found = mean(centre) if same is gain else None
                if found is None or found[0] is not x or x.shape != node.output.shape:
                    continue
                made = _of_gain(x, gain, shift.input(0), found[1], builder)
                if made is not None:
                    return made
    return None


def _of_gain(x: Value, gain: Value, bias: Value, axes: Sequence[int], builder: Builder) -> Value | None:
    scaling = made_by(gain, "Mul")
    pairs = list(orders(scaling)) if scaling is not None else []
    one = builder.constant(np.ones((), x.dtype.value))
    for root, scale in [*pairs, (gain, one)]:
        for spread, epsilon in inverse_root(root):
            found = mean(spread)
            centred = None if found is None else square(found[0])
            if (
                found is None
                or centred is None
                or found[1] != tuple(axes)
                or _centred(centred, axes) is not x
            ):
                continue
            axis = trailing(axes, x.rank)
            if axis is None:
                normal = over_axes(builder, "LayerNormalization", x, axes, epsilon)
                return builder.one("Add", builder.one("Mul", normal, scale), bias)
            values = [_parameter(v, x, axis, builder) for v in (scale, bias)]
            if all(v is not None for v in values):
                return builder.one("LayerNormalization", x, *values, axis=axis, epsilon=epsilon)
    return None


def _parameter(value: Value, x: Value, axis: int, builder: Builder) -> Value | None:
    """value without leading axes of size 1, if it then broadcasts to x's normalised axes."""
    inside = x.shape[axis:]
    extra = value.rank - len(inside)
    if extra > 0:
        if any(d != 1 for d in value.shape[:extra]):
            return None
        value = builder.one("Reshape", value, shape=value.shape[extra:])
    try:
        fits = broadcast([value.shape, inside]) == inside
    except OpError:
        return None
    return value if fits and value.dtype is x.dtype else None


def _with_parameter(norm: Node, op: str, other: Value, builder: Builder) -> Value | None:
    """The norm with one more factor, while it has none, or one more term, while it has none."""
    x, scale = norm.input(0), norm.input(1)
    bias = norm.inputs[2] if len(norm.inputs) > 2 else None
    value = _parameter(other, x, norm.attrs["axis"], builder)
    if value is None or bias is not None:
        return None
    if op == "Mul":
        plain = scale.rank == 0 and number(scale) == 1.0
        rest = (None,) if norm.op == "LayerNormalization" else ()
        return builder.one(norm.op, x, value, *rest, **norm.attrs) if plain else None
    layer = norm.op == "LayerNormalization"
    return builder.one(norm.op, x, scale, value, **norm.attrs) if layer else None


def _softmax(node: Node, builder: Builder) -> Value | None:
    """exp(x - max(x)) over its sum, along one axis."""
    if node.op != "Div":
        return None
    total, exponential = made_by(node.input(1), "ReduceSum"), made_by(node.input(0), "Exp")
    if total is None or exponential is None or total.input(0) is not node.input(0):
        return None
    axes, shifted = tuple(total.attrs["axes"]), made_by(exponential.input(0), "Sub")
    most = None if shifted is None else made_by(shifted.input(1), "ReduceMax")
    if shifted is None or most is None or len(axes) != 1 or not total.attrs["keepdims"]:
        return None
    same = most.input(0) is shifted.input(0) and tuple(most.attrs["axes"]) == axes and most.attrs["keepdims"]
    return builder.one("Softmax", shifted.input(0), axis=axes[0]) if same else None
