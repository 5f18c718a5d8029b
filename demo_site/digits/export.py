"""Writes the trained network as an ONNX model."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from demo_site.digits.network import CLASSES, SIDE, Array, Parameters
from demo_site.packing import make_model


def to_onnx(parameters: Parameters) -> onnx.ModelProto:
    """The network: `image` [batch, 1, 8, 8] to `probabilities` [batch, 10], both float32."""
    initializers = {
        "conv1": _filters(parameters.conv1),
        "bias1": parameters.bias1,
        "conv2": _filters(parameters.conv2),
        "bias2": parameters.bias2,
        "dense": parameters.dense,
        "bias3": parameters.bias3,
    }

    def conv(inputs: list[str], output: str, name: str) -> onnx.NodeProto:
        return helper.make_node("Conv", inputs, [output], name, kernel_shape=[3, 3], pads=[1, 1, 1, 1])

    nodes = [
        conv(["image", "conv1", "bias1"], "edges", "conv1"),
        helper.make_node("Relu", ["edges"], ["edges_relu"], "relu1"),
        conv(["edges_relu", "conv2", "bias2"], "shapes", "conv2"),
        helper.make_node("Relu", ["shapes"], ["shapes_relu"], "relu2"),
        helper.make_node("MaxPool", ["shapes_relu"], ["pooled"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["pooled"], ["features"], "flatten"),
        helper.make_node("Gemm", ["features", "dense", "bias3"], ["logits"], "dense"),
        helper.make_node("Softmax", ["logits"], ["probabilities"], "softmax", axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, SIDE, SIDE])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in initializers.items()],
    )
    return make_model(graph)


def _filters(weights: Array) -> Array:
    """[9 * channels, filters] to ONNX's [filters, channels, 3, 3]."""
    filters = weights.shape[1]
    return weights.reshape(3, 3, -1, filters).transpose(3, 2, 0, 1)
