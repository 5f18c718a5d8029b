"""Where single elements of small tensors come from, through nodes that do nothing but move them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pyruntime.ir.graph import Node, Value
from pyruntime.ops.definition import definition, symbolic

MOST = 64  # elements: more are data, not parameters
MOVES = frozenset({"Concat", "Expand", "Gather", "Reshape", "Slice", "Transpose"})
Place = tuple[int, int]  # which of a node's inputs, and which element of it


def moved(node: Node) -> list[Place] | None:
    """Where each element of the only result of a node that moves stands in its inputs; None for others."""
    if node.op not in MOVES or symbolic(node.attrs):
        return None
    values = [v for v in node.inputs if v is not None]
    sources, told = (values[:1], values[1:]) if node.op == "Gather" else (values, [])
    shapes = [tuple(d for d in v.shape if isinstance(d, int)) for v in sources]
    small = all(isinstance(v.elements, int) and v.elements <= MOST for v in (*sources, *node.outputs))
    if not small or any(v.data is None for v in told):
        return None
    places = [(i, at) for i, shape in enumerate(shapes) for at in range(int(np.prod(shape)))]
    # the node moves numbers of elements, which say where each one has gone
    numbers = iter(range(len(places)))
    arrays = [np.fromiter(numbers, np.int64, int(np.prod(s))).reshape(s) for s in shapes]
    (found,) = definition(node.op).reference([*arrays, *(v.data for v in told)], node.attrs)
    return [places[number] for number in found.flat]


def traced(value: Value, at: int, sources: Mapping[Value, Value]) -> tuple[Value, int]:
    """The tensor, and its element, that element `at` of a tensor was moved from.

    Args:
        value: the tensor.
        at: which of its elements.
        sources: for inputs of subgraphs, the values around that they stand for.
    """
    while value.data is None and value.contents is None:
        if value in sources:
            value = sources[value]
            continue
        node = value.producer
        places = None if node is None else moved(node)
        if node is None or places is None:
            break
        which, at = places[at]
        value = [v for v in node.inputs if v is not None][which]
    return value, at
