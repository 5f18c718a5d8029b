"""What ONNX Runtime's optimiser makes of several operators gives what it gives there."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from pyruntime.errors import ModelError, UnsupportedError
from tests.frontends.onnx_models import agrees, imported, model, random
from tests.frontends.test_onnx_microsoft import check, contrib

IMAGE, KERNEL, BIAS = random(2, 3, 7, 6), random(4, 3, 3, 3, seed=1), random(4, seed=2)
A, B, C = random(5, 3), random(3, 4, seed=1), random(4, seed=2)
ACTIVATIONS: list[tuple[str, list[float]]] = [
    ("Relu", []),
    ("Tanh", []),
    ("Sigmoid", []),
    ("LeakyRelu", [0.3]),
    ("HardSigmoid", [0.3, 0.4]),
    ("Clip", [-0.5, 0.7]),
]


@pytest.mark.parametrize(("activation", "numbers"), ACTIVATIONS)
def test_convolutions(activation: str, numbers: list[float]) -> None:
    params: dict[str, Any] = {"activation_params": numbers} if numbers else {}
    inputs = {"x": IMAGE, "w": KERNEL, "b": BIAS}
    check("FusedConv", inputs, activation=activation, pads=[1, 0, 1, 0], strides=[2, 1], **params)


def test_a_convolution_and_what_is_added_to_it() -> None:
    inputs = {"x": IMAGE, "w": KERNEL, "b": BIAS, "z": random(2, 4, 5, 4, seed=3)}
    assert check("FusedConv", inputs, activation="Relu") == ["Conv", "Add", "Relu"]
    assert check("FusedConv", {**inputs, "b": None}) == ["Conv", "Add"]


@pytest.mark.parametrize(
    ("activation", "numbers"),
    [("Relu", {}), ("LeakyRelu", {"activation_alpha": 0.3}), ("Elu", {"activation_alpha": 0.7})],
)
@pytest.mark.parametrize("turned", [False, True])
def test_products_and_activations(activation: str, numbers: dict[str, Any], turned: bool) -> None:
    inputs = {"a": A.T.copy() if turned else A, "b": B.T.copy() if turned else B, "c": C}
    turns: dict[str, Any] = {"transA": int(turned), "transB": int(turned)}
    check("FusedGemm", inputs, activation=activation, alpha=0.5, beta=2.0, **turns, **numbers)
    check("FusedGemm", {**inputs, "c": None}, activation=activation, **turns, **numbers)


@pytest.mark.parametrize(
    ("a", "b", "attrs"),
    [
        ((2, 5, 3), (2, 3, 4), {"alpha": 0.25}),
        ((2, 3, 5), (4, 3), {"transA": 1, "transB": 1}),
        ((5, 2, 3), (3, 2, 4), {"transBatchA": 1, "transBatchB": 1}),
        ((3, 2, 6, 5), (4, 2, 6, 3), {"transA": 1, "transB": 1, "transBatchA": 1, "transBatchB": 1}),
        ((3,), (2, 3, 4), {"transA": 1, "alpha": -1.5}),
        ((5, 3), (3,), {"transB": 1}),
    ],
)
def test_products(a: tuple[int, ...], b: tuple[int, ...], attrs: dict[str, Any]) -> None:
    check("FusedMatMul", {"a": random(*a), "b": random(*b, seed=1)}, **attrs)


def test_pooling_with_channels_last() -> None:
    x = np.random.default_rng(0).integers(0, 256, (2, 7, 6, 3)).astype(np.uint8)
    attrs: dict[str, Any] = {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 0]}
    assert check("NhwcMaxPool", {"x": x}, **attrs) == ["Transpose", "MaxPool", "Transpose"]


def test_a_quantised_convolution_with_channels_last() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.integers(0, 256, (2, 7, 6, 8)).astype(np.uint8), rng.integers(-99, 99, (5, 8, 3, 3))
    names = ("x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b")
    scales = (np.float32(0.1), np.float32(0.02), np.float32(0.9))
    zeros = (np.uint8(120), np.int8(0), np.uint8(100))
    bias = rng.integers(-99, 99, 5).astype(np.int32)
    values = (x, scales[0], zeros[0], w.astype(np.int8), scales[1], zeros[1], scales[2], zeros[2], bias)
    inputs = {name: np.asarray(value) for name, value in zip(names, values, strict=True)}
    check("QLinearConv", inputs, channels_last=1, pads=[1, 1, 1, 1])
    check("QLinearConv", {**inputs, "x": np.moveaxis(x, 3, 1).copy()}, pads=[1, 1, 1, 1])


def test_a_model_that_was_saved_optimised(tmp_path: Any) -> None:
    """So ONNX Runtime itself writes them."""
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["y"], pads=[1, 1, 1, 1]),
        helper.make_node("LeakyRelu", ["y"], ["z"], alpha=0.2),
        helper.make_node("Flatten", ["z"], ["f"]),
        helper.make_node("Gemm", ["f", "v"], ["g"], transB=1),
        helper.make_node("Relu", ["g"], ["h"]),
        helper.make_node("Transpose", ["h"], ["t"], perm=[1, 0]),
        helper.make_node("MatMul", ["h", "t"], ["out"]),
    ]
    weights = {"w": KERNEL, "b": BIAS, "v": random(5, 4 * 7 * 6, seed=4)}
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "model.onnx")
    proto = model(nodes, {"x": IMAGE}, ["out"], weights=weights)
    onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    made = onnx.load(tmp_path / "model.onnx")
    assert {"FusedConv", "FusedGemm", "FusedMatMul"} <= {n.op_type for n in made.graph.node}
    agrees(made, {"x": IMAGE}, 2e-5)


def test_what_is_wrong_is_told() -> None:
    inputs = {"x": IMAGE, "w": KERNEL}
    with pytest.raises(UnsupportedError, match="activation 'Swish'"):
        imported(contrib("FusedConv", inputs, activation="Swish")[0])
    with pytest.raises(ModelError, match="1 numbers of HardSigmoid"):
        imported(contrib("FusedConv", inputs, activation="HardSigmoid", activation_params=[0.2])[0])
