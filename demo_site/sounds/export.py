"""Writes the listener as an ONNX model: from samples to a spectrogram, and from that to what it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from demo_site.packing import make_model
from demo_site.recurrent import Parameters, to_nodes
from demo_site.sounds.hearing import BANDS, FLOOR, HOP, MIDDLE, SPREAD, WINDOW, filters, window
from demo_site.sounds.synthesis import CLASSES

FRAMES = 4  # that come at once
CHUNK = FRAMES * HOP
KEPT = WINDOW - HOP  # samples that the next chunk's first frame needs
STATE = {"tail": "tail.next", "heard": "heard.next"}


def to_onnx(parameters: Parameters) -> onnx.ModelProto:
    """Hears the next CHUNK samples.

    Inputs: `samples` [1, CHUNK] float32; the states `tail` [1, KEPT], the samples before, and `heard`
    [1, 1, units]. Outputs: `bands` [FRAMES, 1, BANDS], `shares` [FRAMES, 1, classes], and the states' next
    values.
    """
    units = len(parameters.inner)
    gru, initializers = to_nodes(parameters, "bands", ("heard", "heard.next"), "logits")
    constants: dict[str, np.ndarray[Any, Any]] = {
        "hop": np.array(HOP, np.int64),
        "window": window(),
        "length": np.array(WINDOW, np.int64),
        "last": np.array([2], np.int64),
        "complex": np.array([3], np.int64),
        "filters": filters(),
        "floor": np.array(FLOOR, np.float32),
        "middle": np.array(MIDDLE, np.float32),
        "spread": np.array(SPREAD, np.float32),
        "from": np.array([CHUNK], np.int64),
        "to": np.array([CHUNK + KEPT], np.int64),
        "along": np.array([1], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Concat", ["tail", "samples"], ["signal"], "join", axis=1),
        node("Slice", ["signal", "from", "to", "along"], ["tail.next"], "keep"),
        node("Unsqueeze", ["signal", "last"], ["column"], "column"),
        node("STFT", ["column", "hop", "window", "length"], ["spectrum"], "stft", onesided=1),
        node("Mul", ["spectrum", "spectrum"], ["squares"], "square"),
        node("ReduceSum", ["squares", "complex"], ["power"], "power", keepdims=0),
        node("MatMul", ["power", "filters"], ["energy"], "mel"),
        node("Add", ["energy", "floor"], ["lifted"], "lift"),
        node("Log", ["lifted"], ["loudness"], "log"),
        node("Sub", ["loudness", "middle"], ["centred"], "centre"),
        node("Div", ["centred", "spread"], ["frames"], "scale"),
        node("Transpose", ["frames"], ["bands"], "sequence", perm=[1, 0, 2]),
        *gru,
        node("Softmax", ["logits"], ["shares"], "softmax", axis=-1),
    ]

    def tensor(name: str, *shape: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        "sounds",
        [tensor("samples", 1, CHUNK), tensor("tail", 1, KEPT), tensor("heard", 1, 1, units)],
        [
            tensor("bands", FRAMES, 1, BANDS),
            tensor("shares", FRAMES, 1, len(CLASSES)),
            tensor("tail.next", 1, KEPT),
            tensor("heard.next", 1, 1, units),
        ],
        [*initializers, *(numpy_helper.from_array(value, name) for name, value in constants.items())],
    )
    return make_model(graph)
