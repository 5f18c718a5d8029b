"""Which sizes of inputs may be 0: those with which the model is no other where they may, and has a meaning.

That `x[:, -1:]` has one element, or that `max(n, 1)` is n, holds for sizes of 1 and more alone, and is worth
knowing. Most sizes, such as a batch, decide nothing of that kind: then the model converts to the same graph
whether or not they may be 0, and that graph is right for 0 as well. But for what nothing has: the position of
the largest of no elements, a row of a table without rows, a window that does not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from typing import Any

import numpy as np

from pyruntime.errors import ModelError, UnsupportedError
from pyruntime.ir.dims import Dim, Expr, at_least, bounds
from pyruntime.ir.graph import Constraint, Graph, Node, Value
from pyruntime.ir.symbols import substitute, symbols_of
from pyruntime.ops.definition import complete, definition
from pyruntime_converter.frontends.onnx.symbols import sizes_of

Convert = Callable[[frozenset[str]], Graph]
COMPARED = 1 << 12  # bytes of the largest constants that may hold sizes
MOST_ALONE = 4  # sizes that are tried one by one


def admit_empty(convert: Convert) -> Graph:
    """The graph in which as many sizes of inputs may be 0 as can.

    Args:
        convert: gives the graph when the symbols of these names may be 0.
    """
    graph = convert(frozenset())
    left = _sizes(graph)
    while left:
        made, blamed = _attempt(convert, left, graph)
        if made is not None:
            return made
        if not blamed and 1 < len(left) <= MOST_ALONE:
            blamed = {name for name in left if _attempt(convert, frozenset({name}), graph)[0] is None}
        if not blamed:
            break
        left -= blamed
    return graph


def _attempt(convert: Convert, names: frozenset[str], graph: Graph) -> tuple[Graph | None, set[str]]:
    """The graph with these sizes, if that will do; else which of them are in the way, where that shows."""
    try:
        made = convert(names)
    except (UnsupportedError, ModelError):
        return None, set()
    blamed = set(_needed(made, names, {}))
    unlike = bool(blamed)
    for one, other in zip_longest(_leaves(graph), _leaves(made)):
        if str(one) != str(other):
            unlike = True
            found = {name for leaf in (one, other) if isinstance(leaf, Expr) for name in symbols_of(leaf)}
            if not found:
                break  # from here on there is nothing to compare
            blamed |= found & names
    return (None, blamed) if unlike else (made, set())


def _needed(graph: Graph, names: frozenset[str], most: dict[str, Dim]) -> Iterator[str]:
    """Sizes without which some node has no meaning; `most` bounds what nodes before have measured."""
    divisors = [d for leaf in _leaves(graph) for d in _divisors(leaf)]
    dividing = {name for divisor in divisors for name in symbols_of(divisor)}
    yield from names & dividing
    names -= dividing
    for node in _live(graph):
        trip = node.attrs.get("trip")
        runs = {n for n in names if trip is None or substitute(trip, {n: 0}) != 0}  # with a size of 0, too
        for inner in node.subgraphs:
            yield from _needed(inner, frozenset(runs), most)
        if "most" in node.attrs:
            most |= dict.fromkeys(node.measures - dividing, node.attrs["most"])
        for dim in (d for v in node.outputs for d in v.shape):
            if not at_least(dim, 0):
                yield from symbols_of(dim) & names
        if not definition(node.op).of_nothing(complete(node.op, node.attrs)):
            for name in names:
                empty = [_is_empty(v, name, most) for v in node.inputs]
                if any(empty) and not all(_is_empty(v, name, most) for v in node.outputs):
                    yield name


def _live(graph: Graph) -> list[Node]:
    """The nodes that outputs hang on, and those that measure."""
    wanted: set[Value | None] = set(graph.outputs)
    found = []
    for node in reversed(graph.nodes):
        if node.measures or not wanted.isdisjoint(node.outputs):
            wanted.update(node.inputs)
            found.append(node)
    return found[::-1]


def _is_empty(value: Value | None, name: str, most: Mapping[str, Dim]) -> bool:
    """Whether a value has no elements where the size of this name is 0."""
    none: dict[str, Dim] = {name: 0}
    none |= {size: 0 for size, bound in most.items() if substitute(bound, none) == 0}
    return value is not None and substitute(value.elements, none) == 0


def _divisors(item: Any) -> Iterator[Dim]:
    """Dims by which others are divided, and that may be 0."""
    for atom in (a for monomial, _ in item.terms for a in monomial) if isinstance(item, Expr) else ():
        for argument in atom.args:
            yield from _divisors(argument)
        if atom.op in ("//", "%") and not at_least(atom.args[1], 1):
            yield atom.args[1]


def _sizes(graph: Graph) -> frozenset[str]:
    """The symbols that are sizes of inputs, and that are at least 1."""
    return frozenset(str(d) for d in sizes_of(graph) if bounds(d) == (1, None))


def _leaves(item: Any) -> Iterator[Any]:
    """All that a graph is made of, in order: dims, names, numbers."""
    match item:
        case Graph():
            yield from _leaves([item.nodes, item.inputs, item.outputs, item.output_names, item.constraints])
            yield from _leaves([item.defaults, item.ranges, item.lists])
        case Node():
            yield item.op
            yield from _leaves([item.attrs, item.outputs, [_known(v) for v in item.inputs]])
        case Value():
            yield from _leaves([_known(item), item.dtype.value, item.shape, item.contents])
        case Constraint():
            yield from (item.value, item.reason)
        case Mapping():
            for key, value in sorted(item.items()):
                yield key
                yield from _leaves(value)
        case list() | tuple():
            yield len(item)
            for each in item:
                yield from _leaves(each)
        case np.ndarray():
            yield from _leaves(item.ravel().tolist())
        case _:
            yield item


def _known(value: Value | None) -> Any:
    """What stands for a value: its name, or the elements of a small constant."""
    if value is None or value.data is None:
        return value and value.name
    return value.data if value.data.nbytes <= COMPARED else value.data.shape
