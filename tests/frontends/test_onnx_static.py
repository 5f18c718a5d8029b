"""A model quantised by ONNX Runtime (QDQ, static) gives what that computes without its optimisations."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from pyruntime_converter.passes import optimise

from pyruntime.ops.run_graph import run_graph
from tests.frontends.on_devices import DEVICES, Device, on_device
from tests.frontends.onnx_models import imported, model, random
from tests.fuzz.known import runtime

Array = NDArray[Any]
OUTPUTS = {"y": [2, 5], "silu": [2, 8, 9, 10]}
IMAGES = (2, 3, 9, 10)


class Fed(CalibrationDataReader):  # type: ignore[misc] # onnxruntime has no types
    """What ranges of activations are taken from."""

    def __init__(self, feeds: list[dict[str, Array]]) -> None:
        self._left: Iterator[dict[str, Array]] = iter(feeds)

    def get_next(self) -> dict[str, Array] | None:
        """As the base class."""
        return next(self._left, None)


def network() -> ModelProto:
    """Convolutions, a residual connection, a mean, a product."""
    nodes = [
        helper.make_node("Conv", ["x", "w0", "b0"], ["c0"], name="stem", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c0"], ["r0"], name="r0"),
        helper.make_node("Conv", ["r0", "w1", "b1"], ["c1"], name="depth", pads=[1, 1, 1, 1], group=8),
        helper.make_node("Relu", ["c1"], ["r1"], name="r1"),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], name="point"),
        helper.make_node("Add", ["c2", "r0"], ["sum"], name="sum"),
        helper.make_node("Sigmoid", ["sum"], ["gate"], name="gate"),
        helper.make_node("Mul", ["sum", "gate"], ["silu"], name="silu"),
        helper.make_node("GlobalAveragePool", ["silu"], ["mean"], name="mean"),
        helper.make_node("Flatten", ["mean"], ["flat"], name="flat"),
        helper.make_node("Gemm", ["flat", "w3", "b3"], ["y"], name="head", transB=1),
    ]
    shapes = {"w0": (8, 3, 3, 3), "w1": (8, 1, 3, 3), "w2": (8, 8, 1, 1), "w3": (5, 8)}
    weights = {n: random(*s, seed=i, low=-0.6, high=0.6) for i, (n, s) in enumerate(shapes.items())}
    weights |= {f"b{i}": random(weights[f"w{i}"].shape[0], seed=9 + i) for i in range(4)}
    return model(nodes, {"x": random(*IMAGES)}, [*OUTPUTS], weights=weights)


def quantised(folder: Path, activations: QuantType) -> ModelProto:
    before, after = folder / "float.onnx", folder / "int8.onnx"
    proto = network()
    del proto.graph.output[:]
    for name, shape in OUTPUTS.items():
        proto.graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
    before.write_bytes(proto.SerializeToString())
    feeds = Fed([{"x": random(*IMAGES, seed=20 + i)} for i in range(4)])
    logging.disable(logging.WARNING)  # advice to optimise the model before
    try:
        quantize_static(
            before,
            after,
            feeds,
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=activations,
            weight_type=QuantType.QInt8,
        )
    finally:
        logging.disable(logging.NOTSET)
    return onnx.load(after)


def agree(found: dict[str, Array], wanted: dict[str, Array], proto: ModelProto) -> None:
    """To a step of an output's scale, which a sum that lies on a boundary may take either way."""
    scales = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}
    for name, array in wanted.items():
        steps = np.abs(found[name] - array) / scales[f"{name}_scale"]
        assert steps.max() < 1.01
        assert (steps > 0.01).mean() <= 0.01
        assert len(np.unique(array)) > 4


def unoptimised(proto: ModelProto, feeds: dict[str, Array]) -> dict[str, Array]:
    session = runtime(proto)
    assert session is not None
    return dict(zip(OUTPUTS, session.run(list(OUTPUTS), feeds), strict=True))


@pytest.mark.parametrize("activations", [QuantType.QUInt8, QuantType.QInt8])
def test_graphs_agree_before_and_after_passes(tmp_path: Path, activations: QuantType) -> None:
    proto = quantised(tmp_path, activations)
    plain, graph = imported(proto), imported(proto)
    optimise(graph)
    for seed in range(5):
        feeds = {"x": random(*IMAGES, seed=40 + seed)}
        wanted = unoptimised(proto, feeds)
        agree(run_graph(plain, feeds), wanted, proto)
        agree(run_graph(graph, feeds), wanted, proto)


@pytest.mark.parametrize("device", DEVICES)
def test_devices_agree(tmp_path: Path, device: Device) -> None:
    proto = quantised(tmp_path, QuantType.QUInt8)
    feeds = {"x": random(*IMAGES, seed=40)}
    agree(on_device(proto, feeds, device, tmp_path), unoptimised(proto, feeds), proto)
