"""Real streaming models, a thousand steps with their state in the session, beside ONNX Runtime's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import pyruntime
from tests.state.streams import Feeds, Stream, uniform

pytestmark = pytest.mark.shared

WARM = 100  # steps after which memory stays as it is
STEPS = [
    pytest.param("wasm", 1000, marks=pytest.mark.wasm),
    pytest.param("webgpu", 1000, marks=[pytest.mark.webgpu, pytest.mark.slow]),
]
# id -> what is fed, the state, its shape, options
MODELS: dict[str, tuple[Any, dict[str, str], tuple[int, ...], dict[str, Any]]] = {
    "silero_vad_half": (
        uniform("input", 1, 576),
        {"state": "stateN"},
        (2, 1, 128),
        {"symbols": {"batch": 1}},
    ),
    "dtln_1": (uniform("input_2", 1, 1, 257), {"input_3": "tf_op_layer_stack_2"}, (1, 2, 128, 2), {}),
}


@pytest.mark.parametrize(("device", "count"), STEPS)
@pytest.mark.parametrize("name", MODELS)
def test_a_thousand_steps(shared_models: Path, tmp_path: Path, name: str, device: Any, count: int) -> None:
    """No step is off by more than 1e-5, the state by no more than 1e-5 of its magnitude; no growth."""
    feeds, state, shape, options = MODELS[name]
    source = shared_models / f"{name}.onnx"
    (kept,) = state
    stream = Stream(name, onnx.load(source), state, {kept: np.zeros(shape, np.float32)}, feeds)
    pyruntime.convert(source, tmp_path / "pack", targets=(device,), state=state, **options)
    steps = stream.steps(count)
    with pyruntime.load(tmp_path / "pack", device=device) as session:
        held = 0
        states: Feeds = {}
        for number, (fed, after) in enumerate(zip(steps, stream.reference(steps), strict=True)):
            expected, states = after
            made = session.run(fed)
            assert made.keys() == expected.keys()
            for key, array in expected.items():
                np.testing.assert_allclose(made[key], array, rtol=0, atol=1e-5, err_msg=f"step {number}")
            if number == WARM:
                held = session.report.memory_bytes
        scale = float(np.abs(states[kept]).max())
        np.testing.assert_allclose(session.state.get(kept), states[kept], rtol=0, atol=1e-5 * scale)
        assert session.report.memory_bytes == held
