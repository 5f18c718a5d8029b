"""A traced ONNX model as a graph of the operators that other engines know; sizes are those of the trace."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import NodeProto

from benchmarks.models.peers.fuse import fuse
from benchmarks.models.peers.graph import Graph, Tensor, channels_last
from benchmarks.models.peers.handlers import HANDLERS
from benchmarks.models.source import Array
from benchmarks.models.trace import Trace


class CannotTranslateError(ValueError):
    """An ONNX node in a form that is not known here."""


class Translator:
    """Appends operators for nodes; what handlers stand on."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.held: dict[str, Tensor] = {}
        self.node = NodeProto()
        images = {n.input[0] for n in trace.proto.graph.node if n.op_type == "Conv"}
        for value in trace.proto.graph.input:
            array = _narrow(trace.values[value.name])
            maps = value.name in images
            shape = channels_last(array.shape) if maps else array.shape
            self.held[value.name] = Tensor(value.name, shape, array.dtype, maps=maps)
        self.graph = Graph(dict(self.held))

    def translated(self) -> Graph:
        """The whole graph, fused."""
        for node in self.trace.proto.graph.node:
            if all(o in self.trace.constant for o in node.output if o):
                continue
            self.node = node
            if node.op_type not in HANDLERS:
                raise self.refused("has no handler")
            made = HANDLERS[node.op_type](self, node)
            wanted = self.shape(node.output[0])
            if made.shape != (channels_last(wanted) if made.maps else wanted):
                raise self.refused(f"gives shape {made.shape} where ONNX has {wanted}")
            self.held[node.output[0]] = made
        self.graph.outputs = {o.name: self.held[o.name] for o in self.trace.proto.graph.output}
        fuse(self.graph)
        return self.graph

    def refused(self, reason: str) -> CannotTranslateError:
        """The error for the node at hand."""
        return CannotTranslateError(f"node {self.node.name!r} ({self.node.op_type}): {reason}")

    def value(self, name: str) -> Tensor:
        """What a node reads."""
        if name not in self.held:
            self.held[name] = self.constant(self.trace.values[name], name)
        return self.held[name]

    def plain(self, name: str) -> Tensor:
        """What a node reads, if the order of its elements is ONNX's."""
        x = self.value(name)
        if x.maps and sorted(x.shape)[:-1] != [1] * (len(x.shape) - 1):
            raise self.refused("reads a feature map in ONNX's order")
        return x

    def constant(self, array: Array | float, name: str = "") -> Tensor:
        """A new constant; a Python number is a float32 scalar."""
        held = _narrow(array) if isinstance(array, np.ndarray) else np.array(array, np.float32)
        return Tensor(name or f"{self.node.name}_constant", held.shape, held.dtype, held)

    def data(self, name: str) -> Array:
        """A constant's contents.

        Raises:
            CannotTranslateError: it is computed.
        """
        if name not in self.trace.constant:
            raise self.refused(f"{name!r} must be constant")
        return self.trace.values[name]

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape that ONNX gives a value."""
        return tuple(self.trace.values[name].shape)

    def is_read(self, *names: str) -> bool:
        """Whether any of these values is an output or read by a node."""
        graph = self.trace.proto.graph
        read = {i for n in graph.node for i in n.input} | {o.name for o in graph.output}
        return any(n and n in read for n in names)

    def emit(self, kind: str, *inputs: Tensor, shape: tuple[int, ...], **attributes: Any) -> Tensor:
        """Append an operator, as `Graph.append`."""
        name = f"{self.node.name}_{len(self.graph.operators)}_{kind}"
        return self.graph.append(kind, name, inputs, shape, **attributes)

    def like(self, kind: str, *inputs: Tensor) -> Tensor:
        """An elementwise operator."""
        maps = any(i.maps for i in inputs)
        if maps and not all(i.maps or i.shape == () for i in inputs):
            raise self.refused("mixes feature maps with other tensors")
        attrs = {"activation": None} if kind == "add" else {}
        return self.emit(
            kind, *inputs, shape=np.broadcast_shapes(*(i.shape for i in inputs)), maps=maps, **attrs
        )

    def dense(self, x: Tensor, weights: Tensor, *bias: Tensor) -> Tensor:
        """A product with constant weights."""
        shape = (*x.shape[:-1], weights.shape[1])
        return self.emit("dense", x, weights, *bias, shape=shape, activation=None)


def translate(trace: Trace) -> Graph:
    """The model of a trace.

    Raises:
        CannotTranslateError: it has a node that is not known here.
    """
    return Translator(trace).translated()


def _narrow(array: Array) -> Array:
    return array.astype(np.int32) if array.dtype == np.int64 else array
