"""A one-hot matrix times a weight is a lookup of rows: no multiplication is left of it."""

from __future__ import annotations

import numpy as np

from pyruntime.ir.graph import Graph, Node, Value
from pyruntime.ops.builder import Builder
from pyruntime_converter.passes.rewriter import constant_of, rewrite


def one_hot_to_embedding(graph: Graph) -> None:
    """MatMul(OneHot(indices, [0, 1]), weight), perhaps with a Reshape between, becomes Embedding."""

    def rule(node: Node, builder: Builder) -> Value | None:
        if node.op != "MatMul" or not constant_of(node.inputs[1]) or node.input(1).rank != 2:
            return None
        source = node.input(0)
        if node.output.dtype is not node.input(1).dtype:
            return None
        producer = source.producer
        if producer is not None and producer.op == "Reshape":
            producer = producer.input(0).producer
        if producer is None or producer.op != "OneHot" or source.shape[-1] != producer.attrs["depth"]:
            return None
        values = producer.input(1).data
        if values is None or not np.array_equal(values, [0, 1]):
            return None
        indices = producer.input(0)
        if producer.attrs["axis"] % producer.output.rank != producer.output.rank - 1:
            return None
        rows = builder.one("Embedding", node.input(1), indices, axis=0)
        return builder.one("Reshape", rows, shape=node.output.shape)

    rewrite(graph, rule)
