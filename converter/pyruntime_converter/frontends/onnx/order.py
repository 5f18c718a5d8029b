"""Puts the nodes of a graph in an order in which they can run, and finds cycles and undefined inputs."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence

from onnx import AttributeProto, GraphProto, NodeProto

from pyruntime.errors import ModelError

MAX_DEPTH = 32  # of nested subgraphs and functions


def label(node: NodeProto) -> str:
    """How messages call a node: its name, or its first output's."""
    return node.name or next((o for o in node.output if o), "") or node.op_type


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs among a node's attributes."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def reads(node: NodeProto, depth: int = 0) -> Iterator[str]:
    """Names that a node reads from the graph it stands in, also through its subgraphs."""
    if depth > MAX_DEPTH:
        raise ModelError(f"{node.op_type} {label(node)!r}: subgraphs nested deeper than {MAX_DEPTH}")
    yield from (name for name in node.input if name)
    for graph in subgraphs(node):
        yield from captured(graph, depth + 1)


def captured(graph: GraphProto, depth: int = 0) -> Iterator[str]:
    """Names that a subgraph takes from outside."""
    own = {v.name for v in graph.input} | {t.name for t in graph.initializer}
    own |= {s.values.name for s in graph.sparse_initializer}
    for node in graph.node:
        own.update(node.output)
    for node in graph.node:
        yield from (name for name in reads(node, depth) if name not in own)
    yield from (v.name for v in graph.output if v.name not in own)


def in_order(nodes: Sequence[NodeProto], known: Callable[[str], bool]) -> list[NodeProto]:
    """The nodes sorted so that each follows what it reads; sorted input stays as it is.

    Raises ModelError for cycles, undefined inputs and outputs that are made twice.
    """
    maker: dict[str, int] = {}
    for position, node in enumerate(nodes):
        for name in filter(None, node.output):
            if maker.setdefault(name, position) != position:
                raise ModelError(f"{node.op_type} {label(node)!r}: {name!r} is made twice")
    waiting: list[int] = []
    readers: dict[int, list[int]] = {}
    for position, node in enumerate(nodes):
        needed = {_position(name, node, maker, known) for name in reads(node)} - {None}
        waiting.append(len(needed))
        for source in needed:
            assert source is not None
            readers.setdefault(source, []).append(position)
    return [nodes[i] for i in _run(waiting, readers, nodes)]


def _position(name: str, node: NodeProto, maker: dict[str, int], known: Callable[[str], bool]) -> int | None:
    if name not in maker and not known(name):
        raise ModelError(f"{node.op_type} {label(node)!r} reads {name!r}, which nothing makes")
    return maker.get(name)


def _run(waiting: list[int], readers: dict[int, list[int]], nodes: Sequence[NodeProto]) -> Iterable[int]:
    ready = [i for i, count in enumerate(waiting) if not count]
    done = 0
    while ready:
        position = heapq.heappop(ready)
        done += 1
        yield position
        for reader in readers.get(position, ()):
            waiting[reader] -= 1
            if not waiting[reader]:
                heapq.heappush(ready, reader)
    if done < len(nodes):
        stuck = next(n for n, count in zip(nodes, waiting, strict=True) if count)
        raise ModelError(f"{stuck.op_type} {label(stuck)!r} is part of a cycle")
