"""Replaces nodes while keeping the program order: what every pattern pass stands on."""

from __future__ import annotations

from collections.abc import Callable

from pyruntime.ir.graph import Graph, Node, Value
from pyruntime.ops.builder import Builder

Rule = Callable[[Node, Builder], Value | None]


def rewrite(graph: Graph, rule: Rule) -> None:
    """Offer each node to rule, which may emit others before it and return a value in place of its output."""
    pending, graph.nodes = graph.nodes, []
    builder = Builder(graph)
    builder.reserve(v.name for node in pending for v in node.outputs)
    replaced: dict[Value, Value] = {}
    for node in pending:
        node.inputs = [replaced.get(v, v) if v is not None else None for v in node.inputs]
        builder.origin = node.origin
        value = builder.materialised(rule(node, builder))
        if value is None:
            graph.nodes.append(node)
        else:
            replaced[node.output] = value
    graph.outputs = [replaced.get(v, v) for v in graph.outputs]


def constant_of(value: Value | None) -> bool:
    """Whether value is a constant."""
    return value is not None and value.data is not None
