"""Nodes that cannot be converted whatever their inputs are, since there is no such operator."""

from __future__ import annotations

from collections.abc import Container, Iterator

from onnx import NodeProto

from pyruntime_converter.frontends.onnx import functions, source
from pyruntime_converter.frontends.onnx.assumptions import LackingError
from pyruntime_converter.frontends.onnx.context import handler_of
from pyruntime_converter.frontends.onnx.order import MAX_DEPTH, label, subgraphs
from pyruntime_converter.frontends.onnx.scope import Frame


def lacking(
    node: NodeProto, frame: Frame, own: Container[tuple[str, str]], depth: int = 0
) -> Iterator[LackingError]:
    """What tells of a node that is such, and of those in its branches.

    Args:
        node: what is looked at.
        frame: where it is read.
        own: domains and names of the model's functions.
        depth: how many nodes are around it.
    """
    domain = source.domain(node.domain)
    opset = frame.opsets.get(domain, 1)
    schema = functions.schema_of(node.op_type, opset, domain)
    if not (
        (domain, node.op_type) in own
        or handler_of(domain, node.op_type, opset) is not None
        or (schema is not None and functions.has_body(schema))
    ):
        yield LackingError.of_operator(node.op_type, f"{frame.prefix}{label(node)}", domain, opset)
    if depth <= MAX_DEPTH:
        yield from lacking_inside(node, frame, own, depth)


def lacking_inside(
    node: NodeProto, frame: Frame, own: Container[tuple[str, str]], depth: int = 0
) -> Iterator[LackingError]:
    """What tells of such nodes in a node's branches; arguments as for `lacking`."""
    for graph in subgraphs(node):
        for inner in graph.node:
            yield from lacking(inner, frame, own, depth + 1)
