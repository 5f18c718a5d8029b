"""Lookups of rows: a one-hot matrix times a weight is one, and one of rows that follow each other is none.

What is computed of each row that is looked up, and of constants, can be computed once for a table's rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyruntime.ir.dims import Dim, at_least
from pyruntime.ir.graph import Graph, Node, Value
from pyruntime.ir.symbols import occupied
from pyruntime.ops.builder import Builder
from pyruntime.ops.definition import Elementwise, OpError, broadcast, definition
from pyruntime_converter.passes.cleanup import eliminate_dead
from pyruntime_converter.passes.indices import Known, affine
from pyruntime_converter.passes.patterns import made_by
from pyruntime_converter.passes.rewriter import constant_of, rewrite
from pyruntime_converter.tied import TABLES


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


def fold_into_tables(graph: Graph) -> None:
    """Elementwise functions of rows of a table that has no other readers, and no more rows than are read."""
    eliminate_dead(graph)  # what is read by dead nodes alone is not read
    readers, outputs = graph.uses(), set(graph.outputs)

    def rule(node: Node, builder: Builder) -> Value | None:
        rows = {v for v in node.inputs if v is not None and v.data is None}
        if len(rows) != 1 or not isinstance(definition(node.op), Elementwise):
            return None
        (looked,) = rows
        lookup = made_by(looked, *TABLES)
        if lookup is None or lookup.attrs["axis"] != 0 or looked in outputs:
            return None
        table, indices = lookup.input(0), lookup.input(1)
        alone = len(set(readers.get(looked, ()))) == 1 and len(set(readers.get(table, (lookup,)))) == 1
        constants = [v for v in node.inputs if v is not None and v is not looked]
        if (
            not alone
            or not constant_of(table)
            or (node.output.shape, node.output.dtype) != (looked.shape, table.dtype)
            or not at_least(occupied(indices.elements), table.shape[0])
            or not all(_of_a_row(v, table) for v in constants)
        ):
            return None
        computed = [table if v is looked else v for v in node.inputs]
        made = builder.one(lookup.op, builder.one(node.op, *computed, **node.attrs), indices, axis=0)
        readers[made] = readers.get(node.output, [])
        outputs.update({made} if node.output in outputs else ())
        return made

    rewrite(graph, rule)


def _of_a_row(value: Value, table: Value) -> bool:
    """Whether a constant is the same for all rows of a table."""
    row = table.shape[1:]
    try:
        return broadcast([value.shape, row]) == row
    except OpError:
        return False


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
