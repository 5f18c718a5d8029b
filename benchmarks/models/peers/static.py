"""An ONNX model with the trace's sizes, in forms that @jax-js/onnx 0.1.2 takes."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper

from benchmarks.models.trace import Trace

# operators of the benchmarks that the package does not have
ABSENT = ("LSTM",)


class NotTakenError(ValueError):
    """The model has an operator that @jax-js/onnx does not have."""


def static(trace: Trace) -> ModelProto:
    """Sizes as numbers, everything that hangs on them alone as weights, means of feature maps as ReduceMean.

    Raises:
        NotTakenError: there is no other form of an operator that the package does not have.
    """
    made = ModelProto()
    made.CopyFrom(trace.proto)
    graph = made.graph
    for value in graph.input:
        shape = trace.values[value.name].shape
        value.CopyFrom(helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, shape))
    nodes = [n for n in graph.node if not all(o in trace.constant for o in n.output)]
    weights = {i.name: i for i in graph.initializer}
    del graph.node[:]
    for node in nodes:
        if node.op_type in ABSENT:
            raise NotTakenError(f"@jax-js/onnx has no {node.op_type}")
        for name in node.input:
            if name in trace.constant and name not in weights:
                weights[name] = numpy_helper.from_array(trace.values[name], name)
        graph.node.append(_taken(node, trace, weights))
    used = {i for n in graph.node for i in n.input}
    del graph.initializer[:]
    graph.initializer.extend(w for n, w in weights.items() if n in used)
    onnx.checker.check_model(made)
    return made


def _taken(node: NodeProto, trace: Trace, weights: dict[str, onnx.TensorProto]) -> NodeProto:
    """A node, or one that means the same."""
    output = node.output[0]
    match node.op_type:
        case "GlobalAveragePool":
            return helper.make_node("ReduceMean", [node.input[0]], [output], name=node.name, axes=[2, 3])
        case "Reshape":
            name = f"{output}_shape"
            weights[name] = numpy_helper.from_array(np.array(trace.values[output].shape, np.int64), name)
            return helper.make_node("Reshape", [node.input[0], name], [output], name=node.name)
    return node
