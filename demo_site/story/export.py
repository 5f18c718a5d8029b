"""Writes the trained story writer as an ONNX model."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from demo_site.packing import make_model
from demo_site.recurrent import Parameters, to_nodes
from demo_site.story.training import SIZE

STATE = {"read": "read.next"}


def to_onnx(parameters: Parameters) -> onnx.ModelProto:
    """Reads characters, and says which are likely to come next.

    Inputs: `characters` [length, 1] int64, numbers in the vocabulary; `temperature` [] float32, which
    divides the logits; `read` [1, 1, units] float32, the state. Outputs: `shares` [1, SIZE] float32, of what
    comes after the last character; `read.next`, the state's next value.
    """
    units = len(parameters.inner)
    gru, initializers = to_nodes(parameters, "hot", ("read", "read.next"), "logits")
    constants: dict[str, np.ndarray[Any, Any]] = {
        "size": np.array(SIZE, np.int64),
        "off_on": np.array([0, 1], np.float32),
        "last": np.array(-1, np.int64),
    }
    graph = helper.make_graph(
        [
            helper.make_node("OneHot", ["characters", "size", "off_on"], ["hot"], "hot"),
            *gru,
            helper.make_node("Gather", ["logits", "last"], ["after_last"], "last", axis=0),
            helper.make_node("Div", ["after_last", "temperature"], ["tempered"], "temper"),
            helper.make_node("Softmax", ["tempered"], ["shares"], "softmax", axis=-1),
        ],
        "story",
        [
            helper.make_tensor_value_info("characters", TensorProto.INT64, ["length", 1]),
            helper.make_tensor_value_info("temperature", TensorProto.FLOAT, []),
            helper.make_tensor_value_info("read", TensorProto.FLOAT, [1, 1, units]),
        ],
        [
            helper.make_tensor_value_info("shares", TensorProto.FLOAT, [1, SIZE]),
            helper.make_tensor_value_info("read.next", TensorProto.FLOAT, [1, 1, units]),
        ],
        [*initializers, *(numpy_helper.from_array(value, name) for name, value in constants.items())],
    )
    return make_model(graph)
