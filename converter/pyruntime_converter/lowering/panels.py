"""Tables whose transpose is a product's weight, as the embedding is that a language model ends with."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from pyruntime_converter.lowering.lazy import Lazy, combine

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Graph, Node, Shape, Value
from pyruntime.ir.scalar import Const, Load, Scalar, call, cast
from pyruntime.ir.views import Indirect, Tensor, View

LEAST = 1 << 16  # elements: to find where a row lies takes a kernel of its own
TABLES = frozenset({"Gather", "Embedding"})


def tied_tables(graph: Graph) -> dict[Value, Value]:
    """For tables that rows are gathered from, and no more, the weight of a MatMul that is their transpose.

    It is stored in panels in any case, and rows can be read from these.
    """
    weights: dict[tuple[DType, Shape], list[Value]] = defaultdict(list)
    tables: dict[Value, bool] = {}
    for node in graph.nodes:
        for place, value in enumerate(node.inputs):
            if value is None or value.data is None or value.rank != 2 or value.data.size < LEAST:
                continue
            if node.op == "MatMul" and place == 1 and value.dtype.is_float:
                weights[value.dtype, value.shape].append(value)
            tables[value] = tables.get(value, True) and _takes_rows(node, value)
    found = {}
    for table in (t for t, rows in tables.items() if rows):
        for weight in weights[table.dtype, table.shape[::-1]]:
            if _transposed(table, weight):
                found[table] = weight
    return found


def _takes_rows(node: Node, table: Value) -> bool:
    """Whether a node reads rows of a table at indices that only a run knows."""
    if node.op not in TABLES or node.inputs[0] is not table or node.attrs["axis"] != 0:
        return False
    return node.input(1).data is None


def _transposed(table: Value, weight: Value) -> bool:
    assert table.data is not None
    assert weight.data is not None
    a, b = table.data, weight.data.T
    same = a.__array_interface__["data"] == b.__array_interface__["data"] and a.strides == b.strides
    return same or np.array_equal(a, b)


def places(indices: View, shape: Shape, rows: int, width: int, panels: int) -> Lazy:
    """Where rows begin in panels of a matrix [width, rows], at int32 indices; -1 where there is no such row.

    `indices` is a view of integers over `shape`, of which negative ones count from the end.
    """

    def build(trees: list[Scalar]) -> Scalar:
        index = cast(trees[0], DType.I32)
        row = call("select", call("lt", index, _int(0)), call("add", index, _int(rows)), index)
        panel = call("mul", call("div", row, _int(panels)), _int(panels * width))
        inside = call("and", call("ge", row, _int(0)), call("lt", row, _int(rows)))
        return call("select", inside, call("add", panel, call("rem", row, _int(panels))), _int(-1))

    result = combine([Lazy.of(indices, shape)], shape, build)
    assert result is not None
    return result


def rows_of_panels(tensor: Tensor, at: View, shape: Shape, panels: int) -> Lazy:
    """Rows of a matrix in panels, from where `at` says on, a view of places over shape[:-1]."""
    moved = Indirect(1, 1, tensor.elements, wrap=False)
    read = View(tensor, 0, (*(0 for _ in shape[:-1]), panels), indirect=(moved,))
    return Lazy(shape, Load(tensor.dtype, 0), (read, View(at.tensor, at.offset, (*at.strides, 0))))


def _int(value: int) -> Const:
    return Const(DType.I32, value)
