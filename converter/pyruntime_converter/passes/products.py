"""Merges matrix products of one left operand: queries, keys and values of a layer come from one kernel."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pyruntime.ir.graph import Graph, Node, Value
from pyruntime.ops.builder import Builder
from pyruntime_converter.passes.patterns import orders
from pyruntime_converter.passes.rewriter import constant_of, rewrite

# readers that want a product in memory in any case: with others it would lose the fusion with them
_READERS = frozenset({"Reshape", "Transpose", "Slice", "Attention", "RotaryEmbedding", "MatMul"})


@dataclass(frozen=True)
class _Member:
    """One product x w, or x w + bias where it is only read by that addition; `last` gives its result."""

    product: Node
    last: Node
    bias: Value | None

    @property
    def weight(self) -> Value:
        """Of shape [k, n]."""
        return self.product.input(1)


@dataclass
class _Group:
    """Products of one left operand; `parts` are their results once they are merged."""

    members: list[_Member] = field(default_factory=list)
    parts: dict[Node, Value] = field(default_factory=dict)


def merge_products(graph: Graph) -> None:
    """Products of one value with constant matrices become one product, of which each is a slice."""
    uses = graph.uses()
    outputs = set(graph.outputs)
    groups: dict[tuple[Value, object], _Group] = {}
    group_of: dict[Node, _Group] = {}
    for node in graph.nodes:
        member = _member(node, uses.get(node.output, []) if len(node.outputs) == 1 else [])
        if member is None or {node.output, member.last.output} & outputs:
            continue
        if all(reader.op in _READERS for reader in uses.get(member.last.output, [])):
            group = groups.setdefault((node.input(0), node.output.dtype), _Group())
            group.members.append(member)
            group_of[member.last] = group

    def rule(node: Node, builder: Builder) -> Value | None:
        group = group_of.get(node)
        if group is None or len(group.members) < 2:
            return None
        if not group.parts:
            left = next(m.product.input(0) for m in group.members if m.last is node)
            group.parts = _merged(left, group.members, builder)
        return group.parts[node]

    rewrite(graph, rule)


def _member(node: Node, readers: list[Node]) -> _Member | None:
    if node.op != "MatMul" or not constant_of(node.inputs[1]):
        return None
    if node.input(1).rank != 2 or node.input(0).rank < 2 or not node.output.dtype.is_float:
        return None
    if len(readers) == 1 and readers[0].op == "Add":
        for x, bias in orders(readers[0]):
            if x is node.output and constant_of(bias) and bias.shape == node.output.shape[-1:]:
                return _Member(node, readers[0], bias)
    return _Member(node, node, None)


def _merged(left: Value, members: list[_Member], builder: Builder) -> dict[Node, Value]:
    weights, dtype = [m.weight.data for m in members], members[0].weight.dtype
    widths = [w.shape[1] for w in weights if w is not None]
    name = "+".join(m.weight.name for m in members)
    weight = np.concatenate([w for w in weights if w is not None], axis=1)
    whole = builder.one("MatMul", left, builder.constant(weight, name=name))
    if any(m.bias is not None for m in members):
        parts = [
            np.zeros(width, dtype.value) if m.bias is None or m.bias.data is None else m.bias.data
            for m, width in zip(members, widths, strict=True)
        ]
        whole = builder.one("Add", whole, builder.constant(np.concatenate(parts), dtype))
    start, found = 0, dict[Node, Value]()
    for member, width in zip(members, widths, strict=True):
        starts = (*(0 for _ in whole.shape[:-1]), start)
        found[member.last] = builder.one(
            "Slice", whole, starts=starts, sizes=(*whole.shape[:-1], width), steps=(1,) * whole.rank
        )
        start += width
    return found
