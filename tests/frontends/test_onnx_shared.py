"""The real ONNX models import, or say which operators they lack; two give their recorded outputs on NumPy."""

import json
from pathlib import Path

import numpy as np
import pytest
from pyruntime_converter.frontends import read_model

from pyruntime.errors import UnsupportedError, UnsupportedNodesError
from pyruntime.ops.run_graph import run_graph

pytestmark = pytest.mark.shared

WAITING = {
    "dtln_1": {"LSTM"},
    "silero_vad_half": {"LSTM"},
}


@pytest.mark.parametrize("name", ["magika_v1", "stories260k", "ultraface_rfb320"])
def test_gives_the_recorded_outputs(shared_models: Path, name: str) -> None:
    imported = read_model(shared_models / f"{name}.onnx")
    assert imported.format == "onnx"
    assert len(imported.sha256) == 64
    data = np.load(shared_models / f"{name}.npz")
    for index, case in enumerate(json.loads(str(data["meta"]))["cases"]):
        feeds = {spec["name"]: data[f"c{index}_in{j}"] for j, spec in enumerate(case["inputs"])}
        outputs = run_graph(imported.graph, feeds)
        assert list(outputs) == [spec["name"] for spec in case["outputs"]]
        for j, spec in enumerate(case["outputs"]):
            wanted = data[f"c{index}_out{j}"]
            error = np.abs(outputs[spec["name"]] - wanted).max()
            assert error <= 1e-5 * np.abs(wanted).max()


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


@pytest.mark.parametrize("name", sorted(WAITING))
def test_all_that_is_missing_is_told_at_once(shared_models: Path, name: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        read_model(shared_models / f"{name}.onnx")
    error = caught.value
    entries = error.entries if isinstance(error, UnsupportedNodesError) else (error,)
    assert {entry.op for entry in entries} == WAITING[name]
    assert all(entry.node in str(error) for entry in entries)
