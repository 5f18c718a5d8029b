"""Lookups of rows: a one-hot matrix times a weight is one, and one of rows that follow each other is none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyruntime.ir.dims import Dim, at_least
from pyruntime.ir.graph import Graph, Node, Value
from pyruntime.ops.builder import Builder
from pyruntime_converter.passes.indices import Known, affine
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


def slice_in_order(graph: Graph) -> None:
    """Gather of positions that follow each other, as BERT's are, becomes Slice, which is no work."""
    known: Known = {}

    def rule(node: Node, builder: Builder) -> Value | None:
        if node.op not in ("Gather", "Embedding"):
            return None
        data, indices, axis = node.input(0), node.input(1), node.attrs["axis"]
        places = affine(indices, known)
        moving = [] if places is None else [a for a, step in enumerate(places.steps) if step != 0]
        if (
            places is None
            or len(moving) != 1
            or any(n != 1 for a, n in enumerate(indices.shape) if a not in moving)
        ):
            return None
        count, step = indices.shape[moving[0]], places.steps[moving[0]]
        last = places.offset + (count - 1) * step
        inside = at_least(places.offset, 0) and at_least(data.shape[axis] - 1, last)
        if not at_least(step, 1) or not (inside or _within(indices, data.shape[axis])):
            return None

        def along(value: Dim, others: Sequence[Dim]) -> tuple[Dim, ...]:
            return (*others[:axis], value, *others[axis + 1 :])

        zeros, ones = (0,) * data.rank, (1,) * data.rank
        rows = builder.one(
            "Slice",
            data,
            starts=along(places.offset, zeros),
            sizes=along(count, data.shape),
            steps=along(step, ones),
        )
        return builder.one("Reshape", rows, shape=node.output.shape)

    rewrite(graph, rule)


def _within(indices: Value, size: Dim) -> bool:
    """Whether indices are part of a constant, all of whose elements are positions along an axis of size."""
    while indices.producer is not None and indices.producer.op in ("Slice", "Reshape", "Expand"):
        indices = indices.producer.input(0)
    found = indices.data
    return found is not None and at_least(int(found.min()), 0) and at_least(size - 1, int(found.max()))
