"""What converters of TFLite and TensorFlow.js fuse: biases, activations, transposes before products."""

from __future__ import annotations

import numpy as np

from benchmarks.models.peers.graph import Graph, Operator

_ACTIVATED = ("conv2d", "depthwise", "dense", "add")


Sources = list[Operator | None]  # what gives each input, if nobody else reads it


def fuse(graph: Graph) -> None:
    """Apply each rule to all operators in order, in place, and remove what nobody reads any more."""
    for rule in (_bias, _activation, _transposed, _composed, _inverse_root):
        producers, uses = graph.producers(), graph.uses()
        for operator in list(graph.operators):
            sources = [producers.get(i) if uses[i] == 1 else None for i in operator.inputs]
            if (into := rule(operator, sources)) is not None:
                into.output = operator.output
                graph.operators.remove(operator)
                producers[into.output] = into
    graph.prune()


def _bias(operator: Operator, sources: Sources) -> Operator | None:
    """A constant added to a product's columns."""
    if operator.kind != "add":
        return None
    for source, other in zip(sources, reversed(operator.inputs), strict=True):
        bare = source is not None and source.kind == "dense" and len(source.inputs) == 2
        if source and bare and other.data is not None and other.shape == source.output.shape[-1:]:
            source.inputs.append(other)
            return source
    return None


def _activation(operator: Operator, sources: Sources) -> Operator | None:
    """A rectifier behind what has one built in."""
    if operator.kind not in ("relu", "relu6") or not (source := sources[0]):
        return None
    if source.kind not in _ACTIVATED or source["activation"]:
        return None
    source.attributes["activation"] = operator.kind
    return source


def _transposed(operator: Operator, sources: Sources) -> None:
    """The last two axes exchanged before a product."""
    if operator.kind == "matmul" and (source := sources[1]) and source.kind == "transpose":
        rank = len(source.output.shape)
        if source["axes"] == (*range(rank - 2), rank - 1, rank - 2):
            operator.inputs[1] = source.inputs[0]
            operator.attributes["transposed"] = not operator["transposed"]


def _composed(operator: Operator, sources: Sources) -> None:
    """A transpose of a transpose."""
    if operator.kind == "transpose" and (source := sources[0]) and source.kind == "transpose":
        operator.inputs = list(source.inputs)
        operator.attributes["axes"] = tuple(source["axes"][a] for a in operator["axes"])


def _inverse_root(operator: Operator, sources: Sources) -> None:
    """One over a square root."""
    if operator.kind == "div" and (source := sources[1]) and source.kind == "sqrt":
        one = operator.inputs[0].data
        if one is not None and np.all(one == 1):
            operator.kind, operator.inputs = "rsqrt", list(source.inputs)
