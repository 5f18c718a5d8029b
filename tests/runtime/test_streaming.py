"""A thousand steps with the state handed back each time: no drift from onnxruntime, and no growth."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, helper

import pyruntime
from tests.frontends.onnx_models import model, random

Array = NDArray[Any]

UNITS, WIDTH, STATES = 24, 10, ("h", "c", "g")
WARM = 100  # steps after which memory stays as it is
STEPS = [
    pytest.param("wasm", 1000, marks=pytest.mark.wasm),
    pytest.param("webgpu", 400, marks=pytest.mark.webgpu),
]


def streaming_model() -> ModelProto:
    """An LSTM and a GRU over one step, whose three states are inputs and outputs, and a dense layer."""
    state = {n: random(1, 1, UNITS, seed=i) for i, n in enumerate(STATES)}
    weights = {
        "w": random(1, 4 * UNITS, WIDTH, seed=4, low=-0.6, high=0.6),
        "r": random(1, 4 * UNITS, UNITS, seed=5, low=-0.3, high=0.3),
        "b": random(1, 8 * UNITS, seed=6),
        "w2": random(1, 3 * UNITS, UNITS, seed=7, low=-0.6, high=0.6),
        "r2": random(1, 3 * UNITS, UNITS, seed=8, low=-0.3, high=0.3),
        "b2": random(1, 6 * UNITS, seed=9),
        "dense": random(UNITS, 5, seed=10),
        "axis": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node(
            "LSTM", ["x", "w", "r", "b", "", "h", "c"], ["y", "h_out", "c_out"], hidden_size=UNITS
        ),
        helper.make_node("Squeeze", ["y", "axis"], ["x2"]),
        helper.make_node("GRU", ["x2", "w2", "r2", "b2", "", "g"], ["y2", "g_out"], hidden_size=UNITS),
        helper.make_node("MatMul", ["g_out", "dense"], ["out"]),
    ]
    outputs = ["out", *(f"{n}_out" for n in STATES)]
    return model(nodes, {"x": random(1, 1, WIDTH), **state}, outputs, weights=weights)


def resident() -> int:
    """Bytes of memory that this process takes; 0 where the system does not tell."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The model and its pack."""
    folder = tmp_path_factory.mktemp("streaming")
    onnx.save(streaming_model(), folder / "streaming.onnx")
    pyruntime.convert(folder / "streaming.onnx", folder / "pack")
    return folder / "streaming.onnx", folder / "pack"


@pytest.mark.parametrize(("device", "steps"), STEPS)
def test_neither_drifts_nor_grows(
    files: tuple[Path, Path], device: Literal["wasm", "webgpu"], steps: int
) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    reference = onnxruntime.InferenceSession(str(files[0]), options)
    frames = random(steps, 1, 1, WIDTH, seed=20)
    start = {n: np.zeros((1, 1, UNITS), np.float32) for n in STATES}
    state, wanted_state = start, start
    with pyruntime.load(files[1], device=device) as session:
        memory = process = 0
        for step, frame in enumerate(frames):
            names = ["out", *(f"{n}_out" for n in STATES)]
            wanted = dict(zip(names, reference.run(names, {"x": frame, **wanted_state}), strict=True))
            actual = session.run({"x": frame, **state})
            for name in names:
                np.testing.assert_allclose(
                    actual[name], wanted[name], rtol=0, atol=1e-5, err_msg=f"{step} {name}"
                )
            state = {n: np.asarray(actual[f"{n}_out"]) for n in STATES}
            wanted_state = {n: wanted[f"{n}_out"] for n in STATES}
            if step == WARM:
                memory, process = session.report.memory_bytes, resident()
        assert session.report.memory_bytes == memory
        assert resident() - process < 8 << 20
