"""The models that the documents name: small ones with the inputs and outputs that the text says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.frontends.onnx_models import model
from tests.garden.folders import Model, add_sentence

LAYERS, HEADS, WIDTH = 2, 2, 4
node = helper.make_node


def classifier() -> onnx.ModelProto:
    """model.onnx: images to scores."""
    feeds = {"x": np.zeros((1, 3, 224, 224), np.float32)}
    weights = {"w": np.ones((3, 1000), np.float32)}
    nodes = [
        node("GlobalAveragePool", ["x"], ["p"]),
        node("Flatten", ["p"], ["f"]),
        node("MatMul", ["f", "w"], ["m"]),
        node("Softmax", ["m"], ["y"]),
    ]
    return model(nodes, feeds, ["y"], weights=weights, shapes={"x": ["batch", 3, 224, 224]})


def detector() -> onnx.ModelProto:
    """silero_vad.onnx: a window of sound and a state to a probability and the next state."""
    feeds = {"input": np.zeros((1, 512), np.float32), "state": np.zeros((2, 1, 128), np.float32)}
    weights = {"half": np.array(0.5, np.float32)}
    nodes = [
        node("ReduceMean", ["input"], ["mean"], axes=[1], keepdims=1),
        node("Mul", ["state", "half"], ["older"]),
        node("Add", ["older", "mean"], ["stateN"]),
        node("Sigmoid", ["mean"], ["output"]),
    ]
    shapes: dict[str, list[int | str | None]] = {"input": ["batch", 512], "state": [2, "batch", 128]}
    return model(nodes, feeds, ["output", "stateN"], weights=weights, shapes=shapes)


def decoder() -> onnx.ModelProto:
    """decoder.onnx: each layer appends to its cache."""
    feeds = {"new": np.zeros((1, HEADS, 1, WIDTH), np.float32)}
    shapes: dict[str, list[int | str | None]] = {"new": ["batch_size", HEADS, "sequence_length", WIDTH]}
    nodes, outputs = [], []
    for layer in range(LAYERS):
        for kind in ("key", "value"):
            past, present = f"past_key_values.{layer}.{kind}", f"present.{layer}.{kind}"
            feeds[past] = np.zeros((1, HEADS, 1, WIDTH), np.float32)
            shapes[past] = ["batch_size", HEADS, "past_sequence_length", WIDTH]
            nodes.append(node("Concat", [past, "new"], [present], axis=2))
            outputs.append(present)
    nodes.append(node("ReduceMax", [outputs[0]], ["logits"], axes=[2]))
    return model(nodes, feeds, ["logits", *outputs], shapes=shapes)


def collation() -> onnx.ModelProto:
    """collate.onnx: the mean of the first of some images, a number of times."""
    image = helper.make_tensor_type_proto(TensorProto.FLOAT, [3, "h", "w"])
    images = helper.make_value_info("images", helper.make_sequence_type_proto(image))
    bits = helper.make_tensor_type_proto(TensorProto.BOOL, [])
    mask = helper.make_value_info("mask", helper.make_optional_type_proto(bits))
    row = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [1, 1, 1]))
    body = helper.make_graph(
        [node("SequenceInsert", ["rows_in", "row"], ["rows_out"]), node("Identity", ["go"], ["on"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_value_info("rows_in", row),
        ],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, []), helper.make_value_info("rows_out", row)],
    )
    nodes = [
        node("Constant", [], ["first"], value_int=0),
        node("SequenceAt", ["images", "first"], ["image"]),
        node("ReduceMean", ["image"], ["mean"], keepdims=1),
        node("OptionalHasElement", ["mask"], ["has"]),
        node("Cast", ["has"], ["more"], to=TensorProto.FLOAT),
        node("Add", ["mean", "more"], ["row"]),
        node("SequenceEmpty", [], ["none"]),
        node("Loop", ["steps", "", "none"], ["rows"], body=body),
    ]
    steps = helper.make_tensor_value_info("steps", TensorProto.INT64, [])
    graph = helper.make_graph(nodes, "collate", [images, mask, steps], [helper.make_value_info("rows", row)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def pipeline() -> onnx.ModelProto:
    """pipeline.onnx: a category and a number to a label and its probability, as skl2onnx writes it."""
    feeds = {"colour": np.array([["red"]], object), "size": np.zeros((1, 1), np.float32)}
    ml = "ai.onnx.ml"
    labels: dict[str, Any] = {"classlabels_strings": ["no", "yes"], "post_transform": "SOFTMAX"}
    numbers: dict[str, Any] = {"coefficients": [-1.0, 1.0, 0.5, 1.0, -1.0, -0.5], "intercepts": [0.0, 0.0]}
    nodes = [
        node("OneHotEncoder", ["colour"], ["hot"], domain=ml, cats_strings=["red", "blue"], zeros=1),
        node("Flatten", ["hot"], ["flat"]),
        node("Concat", ["flat", "size"], ["all"], axis=1),
        node("LinearClassifier", ["all"], ["label", "probabilities"], domain=ml, **labels, **numbers),
    ]
    shapes: dict[str, list[int | str | None]] = {"colour": ["n", 1], "size": ["n", 1]}
    return model(nodes, feeds, ["label", "probabilities"], shapes=shapes, domains={ml: 1})


def tiny() -> onnx.ModelProto:
    """tiny.onnx: of the quick starts."""
    weights = {"w": np.eye(4, 3, dtype=np.float32)}
    nodes = [node("MatMul", ["x", "w"], ["scores"]), node("Softmax", ["scores"], ["y"])]
    return model(
        nodes, {"x": np.zeros((1, 4), np.float32)}, ["y"], weights=weights, shapes={"x": ["batch", 4]}
    )


def write(folder: Path) -> None:
    """All of them, into a folder."""
    made = {
        "model": classifier(),
        "silero_vad": detector(),
        "decoder": decoder(),
        "collate": collation(),
        "pipeline": pipeline(),
        "tiny": tiny(),
    }
    for name, proto in made.items():
        onnx.save(proto, folder / f"{name}.onnx")
    add_sentence(Model().write(folder / "all-MiniLM-L6-v2"))
