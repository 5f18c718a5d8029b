"""Tables whose transpose is a product's weight, as the embedding is that a language model ends with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dtypes import DType, sums_exactly
from pyruntime.ir.graph import Graph, Node, Shape, Value

LEAST = 1 << 16  # elements: to find where a row lies takes a kernel of its own
TABLES = frozenset({"Gather", "Embedding"})


@dataclass(frozen=True)
class Tied:
    """Operand `place` of a product, which holds the rows of a table.

    They are the columns of a MatMul's weight, or of a BlockMatMul's levels, in words, scales or zero points.
    """

    product: Node
    place: int

    @property
    def operand(self) -> Value:
        """What is stored."""
        return self.product.input(self.place)


def tied_tables(graph: Graph) -> dict[Value, Tied]:
    """For tables that rows are gathered from, and no more, what is stored in panels in any case.

    Rows can be read from these.
    """
    stored: dict[tuple[DType, Shape], list[tuple[NDArray[Any], Tied]]] = defaultdict(list)
    tables: dict[Value, bool] = {}
    for node in graph.nodes:
        for dtype, rows, tied in _stored(node):
            stored[dtype, rows.shape].append((rows, tied))
        for value in filter(None, node.inputs):
            if value.data is not None and value.rank == 2 and value.data.size >= LEAST:
                tables[value] = tables.get(value, True) and _takes_rows(node, value)
    found = {}
    for table in (t for t, rows in tables.items() if rows):
        for rows, tied in stored[table.dtype, table.shape]:
            if _same(table, rows):
                found[table] = tied
    return found


def _stored(node: Node) -> Iterator[tuple[DType, NDArray[Any], Tied]]:
    """Of what dtype a product's operands in panels are, and tables that have their columns as rows."""
    if node.op == "MatMul":
        a, b = node.input(0).dtype, node.input(1)
        if b.data is not None and b.rank == 2 and (b.dtype.is_float or sums_exactly(a, b.dtype)):
            yield b.dtype, b.data.T, Tied(node, 1)
    if node.op == "BlockMatMul" and all(v is None or v.data is not None for v in node.inputs[1:]):
        levels = node.input(1).data
        assert levels is not None
        octets = np.ascontiguousarray(levels).reshape(len(levels), -1)
        if octets.shape[1] % 4 == 0:
            yield DType.U32, octets.view("<u4"), Tied(node, 1)
        for place, value in enumerate(node.inputs[2:], 2):
            if value is not None and value.data is not None:
                yield value.dtype, value.data, Tied(node, place)


def _takes_rows(node: Node, table: Value) -> bool:
    """Whether a node reads rows of a table at indices that only a run knows."""
    if node.op not in TABLES or node.inputs[0] is not table or node.attrs["axis"] != 0:
        return False
    return node.input(1).data is None


def _same(table: Value, rows: NDArray[Any]) -> bool:
    assert table.data is not None
    a, b = table.data, rows
    same = a.__array_interface__["data"] == b.__array_interface__["data"] and a.strides == b.strides
    return same or np.array_equal(a, b)
