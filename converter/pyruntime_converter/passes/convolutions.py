"""Batch normalisation and zero padding become part of the convolution beside them."""

from __future__ import annotations

import numpy as np

from pyruntime.ir.graph import Graph, Node, Value
from pyruntime.ops.builder import Builder
from pyruntime_converter.passes.rewriter import constant_of, rewrite


def fold_batch_norm(graph: Graph) -> None:
    """BatchNormalization after Conv scales its weights; elsewhere it becomes elementwise arithmetic."""
    uses = graph.uses()
    outputs = set(graph.outputs)

    def rule(node: Node, builder: Builder) -> Value | None:
        if node.op != "BatchNormalization":
            return None
        x = node.input(0)
        conv = x.producer
        foldable = (
            conv is not None
            and conv.op == "Conv"
            and len(uses.get(x, ())) == 1
            and x not in outputs
            and all(constant_of(v) for v in (*node.inputs[1:], *conv.inputs[1:]) if v is not None)
        )
        if foldable and conv is not None:
            graph.nodes.remove(conv)
            return _folded(node, conv, builder)
        return _arithmetic(node, builder)

    rewrite(graph, rule)


def _folded(node: Node, conv: Node, builder: Builder) -> Value:
    scale, bias, mean, variance = (_float64(v) for v in node.inputs[1:5])
    weight = _float64(conv.inputs[1])
    old_bias = _float64(conv.inputs[2]) if len(conv.inputs) > 2 and conv.inputs[2] else 0.0
    factor = scale / np.sqrt(variance + node.attrs["epsilon"])
    dtype = conv.input(1).dtype
    new_weight = builder.constant(
        weight * factor.reshape(-1, *([1] * (weight.ndim - 1))), dtype, conv.input(1).name
    )
    new_bias = builder.constant((old_bias - mean) * factor + bias, dtype, node.input(2).name)
    builder.origin = conv.origin
    return builder.one("Conv", conv.input(0), new_weight, new_bias, **conv.attrs)


def _float64(value: Value | None) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    assert value is not None
    assert value.data is not None
    return value.data.astype(np.float64)


def _arithmetic(node: Node, builder: Builder) -> Value:
    """(x - mean) * (scale / sqrt(variance + epsilon)) + bias."""
    x = node.input(0)
    spread = (x.shape[1] if x.rank > 1 else 1, *(1 for _ in range(x.rank - 2))) if x.rank > 1 else ()
    scale, bias, mean, variance = (builder.one("Reshape", node.input(i), shape=spread) for i in range(1, 5))
    epsilon = builder.constant(node.attrs["epsilon"], variance.dtype)
    deviation = builder.one("Sqrt", builder.one("Add", variance, epsilon))
    factor = builder.one("Div", scale, deviation)
    centred = builder.one("Sub", x, mean)
    return builder.one("Add", builder.one("Mul", centred, factor), bias)


def absorb_padding(graph: Graph) -> None:
    """Pad before Conv, with what it pads with itself, becomes the convolution's own padding."""

    def rule(node: Node, builder: Builder) -> Value | None:
        pad = node.input(0).producer if node.inputs and node.inputs[0] is not None else None
        if node.op != "Conv" or pad is None or pad.op != "Pad" or pad.attrs["mode"] != "constant":
            return None
        before, after = pad.attrs["before"], pad.attrs["after"]
        amounts = (*before[2:], *after[2:])
        if pad.attrs["value"] != node.attrs["pad_value"] or any((*before[:2], *after[:2])):
            return None
        if not all(isinstance(a, int) and a >= 0 for a in amounts):
            return None
        pads = tuple(p + a for p, a in zip(node.attrs["pads"], amounts, strict=True))
        return builder.one("Conv", pad.input(0), *node.inputs[1:], **{**node.attrs, "pads": pads})

    rewrite(graph, rule)
