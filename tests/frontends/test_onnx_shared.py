"""The real ONNX models import, and give their recorded outputs on NumPy."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pyruntime_converter.frontends import read_model

from pyruntime.ir.symbols import evaluate
from pyruntime.ops.run_graph import run_graph

Array = NDArray[Any]

pytestmark = pytest.mark.shared


@pytest.mark.parametrize(
    "name", ["dtln_1", "magika_v1", "silero_vad_half", "stories260k", "ultraface_rfb320"]
)
def test_gives_the_recorded_outputs(shared_models: Path, name: str) -> None:
    imported = read_model(shared_models / f"{name}.onnx")
    assert imported.format == "onnx"
    assert len(imported.sha256) == 64
    data = np.load(shared_models / f"{name}.npz")
    for index, case in enumerate(json.loads(str(data["meta"]))["cases"]):
        state: dict[str, Array] = {}
        for step in range(case.get("steps", 1)):
            prefix = f"c{index}_s{step}_" if f"c{index}_s0_out0" in data.files else f"c{index}_"
            given = {spec["name"]: f"{prefix}in{j}" for j, spec in enumerate(case["inputs"])}
            feeds = state | {n: data[key] for n, key in given.items() if key in data.files}
            outputs = run_graph(imported.graph, feeds)
            assert list(outputs) == [spec["name"] for spec in case["outputs"]]
            for j, actual in enumerate(outputs.values()):
                wanted = data[f"{prefix}out{j}"]
                assert np.abs(actual - wanted).max() <= 1e-5 * np.abs(wanted).max()
            state = {n: list(outputs.values())[j] for j, n in case.get("feed", [])}


def test_shape_arithmetic_is_gone(shared_models: Path) -> None:
    graph = read_model(shared_models / "magika_v1.onnx").graph
    assert {n.op for n in graph.nodes}.isdisjoint({"Gather", "Concat", "Slice", "DimTensor", "ReduceProd"})
    assert graph.symbols() == ["unk__122"]
    assert graph.inputs[0].name == "bytes"
    assert graph.output_names == ["target_label"]


def test_weights_listed_as_inputs_are_weights(shared_models: Path) -> None:
    graph = read_model(shared_models / "ultraface_rfb320.onnx").graph
    assert [v.name for v in graph.inputs] == ["input"]
    assert graph.symbols() == []


def test_branches_that_lead_nowhere_are_refused(shared_models: Path) -> None:
    """silero squeezes one frame: other numbers of frames end in a recurrence over rank 5."""
    graph = read_model(shared_models / "silero_vad_half.onnx").graph
    assert any("If '/decoder/If'" in c.reason for c in graph.constraints)

    def taken(sequence: int) -> bool:
        return all(evaluate(c.value, {"batch": 1, "sequence": sequence}) == 1 for c in graph.constraints)

    assert [n for n in (1, 191, 192, 512, 703, 704) if taken(n)] == [192, 512, 703]
