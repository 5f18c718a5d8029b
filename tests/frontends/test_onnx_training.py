"""Operators of training: steps of optimisers, and batch normalisation by the batch's own statistics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from tests.frontends.on_devices import DEVICES, Device, on_device
from tests.frontends.onnx_models import Array, model, random, reference, run, same

# operator, what each tensor brings beside itself, attributes
STEPS: list[tuple[str, int, dict[str, Any]]] = [
    ("Momentum", 2, {"alpha": 0.9, "beta": 0.5, "norm_coefficient": 0.01, "mode": "standard"}),
    ("Momentum", 2, {"alpha": 0.9, "beta": 0.5, "norm_coefficient": 0.0, "mode": "nesterov"}),
    ("Adagrad", 2, {"norm_coefficient": 0.01, "epsilon": 1e-5, "decay_factor": 0.1}),
    ("Adam", 3, {"norm_coefficient": 0.01, "alpha": 0.9, "beta": 0.8, "epsilon": 1e-5}),
]


def optimiser(op: str, beside: int, attrs: dict[str, Any], count: int) -> tuple[ModelProto, dict[str, Array]]:
    """A step of two tensors."""
    feeds: dict[str, Array] = {"rate": np.array(0.1, np.float32), "count": np.array(count)}
    for kind in range(1 + beside):
        for index, shape in enumerate([(3, 5), (7,)]):
            feeds[f"x{kind}.{index}"] = np.abs(random(*shape, seed=2 * kind + index))
    outputs = [f"y{i}" for i in range(2 * beside)]
    node = helper.make_node(op, list(feeds), outputs, domain="ai.onnx.preview.training", **attrs)
    return model([node], feeds, outputs, domains={"ai.onnx.preview.training": 1}), feeds


@pytest.mark.parametrize("count", [0, 3])
@pytest.mark.parametrize(("op", "beside", "attrs"), STEPS)
def test_optimisers(op: str, beside: int, attrs: dict[str, Any], count: int) -> None:
    proto, feeds = optimiser(op, beside, attrs, count)
    same(run(proto, feeds), reference(proto, feeds))


@pytest.mark.parametrize(("op", "beside", "attrs"), STEPS)
def test_rates_of_another_type(op: str, beside: int, attrs: dict[str, Any]) -> None:
    """A rate of float64 steps tensors of float32, which keep their type."""
    proto, feeds = optimiser(op, beside, attrs, 3)
    wanted = run(proto, feeds)
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    same(run(proto, {**feeds, "rate": feeds["rate"].astype(np.float64)}), wanted)


@pytest.mark.parametrize("device", DEVICES)
def test_optimisers_on_devices(device: Device, tmp_path: Path) -> None:
    proto, feeds = optimiser(*STEPS[-1], 3)
    same(on_device(proto, feeds, device, tmp_path), reference(proto, feeds), 1e-4)


@pytest.mark.parametrize("shape", [(4, 3, 5, 7), (6, 3), (2, 3, 4)])
def test_statistics_of_the_batch(shape: tuple[int, ...]) -> None:
    feeds = {"x": random(*shape), **{n: np.abs(random(3, seed=i)) for i, n in enumerate("sbmv")}}
    outputs = ["y", "mean", "variance"]
    attrs: dict[str, Any] = {"training_mode": 1, "momentum": 0.7, "epsilon": 1e-3}
    node = helper.make_node("BatchNormalization", list(feeds), outputs, **attrs)
    proto = model([node], feeds, outputs)
    same(run(proto, feeds), reference(proto, feeds))
