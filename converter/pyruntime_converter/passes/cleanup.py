"""Removes nodes whose results nobody reads, and second copies of the same computation."""

from __future__ import annotations

from typing import Any

from pyruntime.ir.graph import Graph, Value
from pyruntime.ir.symbols import symbols_of


def eliminate_dead(graph: Graph) -> None:
    """Keep only what the outputs need, what binds symbols of needed shapes among it."""
    needed: set[Value] = set(graph.outputs)
    named = {name for value in graph.outputs for dim in value.shape for name in symbols_of(dim)}
    kept = []
    for node in reversed(graph.nodes):
        if any(v in needed for v in node.outputs) or not named.isdisjoint(node.measures):
            kept.append(node)
            named |= node.symbols()
            needed.update(v for v in node.inputs if v is not None)
    graph.nodes = kept[::-1]


def eliminate_common(graph: Graph) -> None:
    """Let equal nodes (op, operands, attributes) share their results."""
    seen: dict[Any, list[Value]] = {}
    for node in [n for n in graph.nodes if not n.subgraphs]:
        operands = tuple(_identity(v) for v in node.inputs)
        key = (node.op, operands, repr(sorted(node.attrs.items(), key=lambda item: item[0])))
        known = seen.setdefault(key, node.outputs)
        if known is not node.outputs:
            for old, new in zip(node.outputs, known, strict=True):
                graph.replace(old, new)
            graph.nodes.remove(node)


def _identity(value: Value | None) -> Any:
    if value is None or value.data is None:
        return value
    small = value.data.size <= 64
    return (value.dtype, value.shape, value.data.tobytes()) if small else value
