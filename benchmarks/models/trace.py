"""Runs a model once in ONNX Runtime with every value as an output: shapes, constants, operations, results."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import onnx
import onnxruntime
from onnx import ModelProto, NodeProto, ValueInfoProto, helper, numpy_helper

from benchmarks.models.source import Array, Feeds


@dataclass(frozen=True)
class Trace:
    """A model with the feeds' sizes.

    Attributes:
        values: every tensor of the run, by name: inputs, weights, what nodes give.
        constant: names of those that hang on weights and on the inputs' sizes alone.
    """

    proto: ModelProto
    values: dict[str, Array]
    constant: frozenset[str]

    @property
    def outputs(self) -> dict[str, Array]:
        """The model's outputs."""
        return {o.name: self.values[o.name] for o in self.proto.graph.output}

    @property
    def operations(self) -> int:
        """Twice the multiply-adds of convolutions, products and recurrent layers."""
        return 2 * sum(self._multiply_adds(n) for n in self.proto.graph.node)

    def _multiply_adds(self, node: NodeProto) -> int:
        if node.output[0] in self.constant:
            return 0
        results = math.prod(self.values[node.output[0]].shape)
        sizes: list[tuple[int, ...]] = [self.values[i].shape for i in node.input[:3] if i]
        match node.op_type:
            case "Conv":
                return results * math.prod(sizes[1][1:])
            case "MatMul":
                return results * sizes[0][-1]
            case "Gemm":
                return results * sizes[0][0 if attributes(node).get("transA") else 1]
            case "LSTM":
                steps, batch, width = sizes[0]
                directions, gates, units = sizes[2]
                return steps * batch * directions * gates * (width + units)
        return 0


def attributes(node: NodeProto) -> dict[str, Any]:
    """The attributes of a node by name."""
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def run(proto: ModelProto | str, feeds: Feeds, *, plain: bool = False) -> dict[str, Array]:
    """A model, or the file of one, in ONNX Runtime on one thread; plain: without any optimisation."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    # without this, sums of products of unsigned and signed bytes saturate on x86 without VNNI, unlike on Wasm
    options.add_session_config_entry("session.x64quantprecision", "1")
    if plain:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    held = proto if isinstance(proto, str) else proto.SerializeToString()
    session = onnxruntime.InferenceSession(held, options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def trace(proto: ModelProto, feeds: Feeds) -> Trace:
    """Everything about one run."""
    wide = onnx.ModelProto()
    wide.CopyFrom(proto)
    weights = {i.name: numpy_helper.to_array(i) for i in proto.graph.initializer}
    made = [o for n in proto.graph.node for o in n.output if o]
    del wide.graph.output[:]
    wide.graph.output.extend(ValueInfoProto(name=n) for n in made)
    values = {**weights, **feeds, **run(wide, feeds, plain=True)}
    constant = set(weights)
    for node in proto.graph.node:
        if node.op_type == "Shape" or all(i in constant for i in node.input if i):
            constant.update(node.output)
    return Trace(proto, values, frozenset(constant))
