"""Converting on past nodes that cannot be converted: all that a model lacks, and what cannot be judged.

What such a node would give is taken over by an input of the graph, of the type that ONNX's shape inference
tells. Dtypes and ranks are right; contents and unnamed sizes are not known. So what is found behind one
may follow from it, unless it is that there is no such operator: it is told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TypeProto

from pyruntime.errors import ModelError, UnsupportedError, UnsupportedNodesError
from pyruntime.ir.dims import Dim, symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Graph, Shape, Value
from pyruntime_converter.frontends.onnx.assumptions import LackingError
from pyruntime_converter.frontends.onnx.order import label
from pyruntime_converter.frontends.onnx.tensors import dtype_of

SMALL = 1024  # elements of a weight whose value shape inference may need
# why a node stays open
UNKNOWN_INPUT = "what it reads comes from a node that cannot be converted, and its type is not known"
UNDECIDED = "sizes or contents decide how it is converted, and they are not known"
MISFIT = "what is known of its inputs does not fit it"


@dataclass(frozen=True)
class Finding:
    """A node that cannot be converted.

    Attributes:
        error: why.
        dtypes: of its inputs, as far as they are known.
        follows: the nodes whose stand-ins it reads, if the error may come from them.
    """

    error: UnsupportedError
    dtypes: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unjudged:
    """A node of which it is open whether it can be converted, and why."""

    op: str
    node: str
    reason: str


class SurveyedError(UnsupportedNodesError):
    """All that a model lacks.

    Args:
        findings: at least one.
        unjudged: what could not be judged.
        graph: what was converted, with inputs for what could not be; None where no output was reached.
    """

    def __init__(
        self, findings: Sequence[Finding], unjudged: Sequence[Unjudged], graph: Graph | None
    ) -> None:
        super().__init__([f.error for f in findings])
        self.findings, self.unjudged, self.graph = tuple(findings), tuple(unjudged), graph


class Types:
    """What ONNX's shape inference tells of the values of a model's graph."""

    def __init__(self, proto: ModelProto) -> None:
        self._proto = proto

    def of(self, name: str) -> TypeProto.Tensor | None:
        """The type of a value with a known rank; None where that is not told."""
        found = self._found.get(name)
        return found if found is not None and found.HasField("shape") and found.elem_type else None

    @cached_property
    def _found(self) -> dict[str, TypeProto.Tensor]:
        light = _without_weights(self._proto)
        try:
            graph = onnx.shape_inference.infer_shapes(light, data_prop=True).graph
        except (RuntimeError, ValueError, onnx.shape_inference.InferenceError):
            graph = light.graph  # what the model itself says
        told = (*graph.value_info, *graph.output)
        return {v.name: v.type.tensor_type for v in told if v.type.WhichOneof("value") == "tensor_type"}


def _without_weights(proto: ModelProto) -> ModelProto:
    """The model with large weights as inputs, since inference copies all of it."""
    made = ModelProto(ir_version=max(proto.ir_version, 4))
    made.opset_import.extend(proto.opset_import)
    made.functions.extend(proto.functions)
    graph = GraphProto(name=proto.graph.name)
    fed = {v.name for v in proto.graph.input}
    graph.input.extend(proto.graph.input)
    for tensor in proto.graph.initializer:
        size = 1
        for dim in tensor.dims:
            size *= dim
        if size <= SMALL and not tensor.external_data:
            graph.initializer.append(tensor)
        elif tensor.name not in fed:
            graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    graph.output.extend(proto.graph.output)
    graph.value_info.extend(proto.graph.value_info)
    graph.node.extend(proto.graph.node)
    made.graph.CopyFrom(graph)
    return made


@dataclass
class Survey:
    """What one conversion found; `make` adds a stand-in to the graph, `fresh` makes a symbol."""

    types: Types
    make: Callable[[str, DType, Shape], Value]
    fresh: Callable[[], Dim]
    _findings: dict[int, Finding] = field(default_factory=dict)  # by the error's identity
    _open: list[Unjudged] = field(default_factory=list)
    _follows: dict[Value, tuple[str, ...]] = field(default_factory=dict)
    _symbols: dict[str, Dim] = field(default_factory=dict)

    def follows(self, values: Sequence[Value]) -> tuple[str, ...]:
        """The nodes that could not be converted and lead to one of these values."""
        return tuple(dict.fromkeys(n for v in values for n in self._follows.get(v, ())))

    def made(self, outputs: Sequence[Value], inputs: Sequence[Value]) -> None:
        """Note what was converted from what."""
        if found := self.follows(inputs):
            self._follows |= dict.fromkeys(outputs, found)

    def note(self, error: UnsupportedError, inputs: Sequence[Value]) -> None:
        """Note what a node of these inputs lacks."""
        dtypes = tuple(dict.fromkeys(v.dtype.value for v in inputs))
        follows = () if isinstance(error, LackingError) else self.follows(inputs)
        self._findings[id(error)] = Finding(error, dtypes, follows)

    def leave_open(self, op: str, name: str, reason: str) -> None:
        """Note that a node cannot be judged."""
        self._open.append(Unjudged(op, name, reason))

    def error(self, problems: Sequence[UnsupportedError], graph: Graph | None) -> SurveyedError:
        """All that was found, as an error."""
        return SurveyedError([self._findings.get(id(p), Finding(p)) for p in problems], self._open, graph)

    def stand_ins(self, node: NodeProto, known: Sequence[str]) -> Iterator[Value | None]:
        """A value for each output whose type is known; `known` are symbols of the inputs' shapes."""
        for output in node.output:
            told = self.types.of(output) if output else None
            if told is None:
                yield None
                continue
            try:
                dtype = dtype_of(told.elem_type, output)
            except (ModelError, UnsupportedError):
                yield None
                continue
            if dtype is DType.STRING:  # no tensor of the graph
                yield None
                continue
            shape = tuple(self._dim(d, known) for d in told.shape.dim)
            value = self.make(output, dtype, shape)
            self._follows[value] = (label(node),)
            yield value

    def _dim(self, dim: onnx.TensorShapeProto.Dimension, known: Sequence[str]) -> Dim:
        if dim.HasField("dim_value") and dim.dim_value >= 0:
            return int(dim.dim_value)
        if dim.dim_param in known:
            return symbol(dim.dim_param)
        if not dim.dim_param:
            return self.fresh()
        if dim.dim_param not in self._symbols:
            self._symbols[dim.dim_param] = self.fresh()
        return self._symbols[dim.dim_param]
