"""Programs with jumps on both devices: reads are counted, some inputs refused, loops that do not end told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from onnx import ModelProto

import pyruntime
from pyruntime.pack.report import Report
from tests.frontends.control_models import LOOPED, MODELS, STEP, X, accumulating, looped
from tests.frontends.onnx_models import model, random
from tests.frontends.selection_models import MODELS as SELECTING
from tests.frontends.test_onnx_control import squeezing

DEVICES = [
    pytest.param("wasm", marks=pytest.mark.wasm),
    pytest.param("webgpu", marks=pytest.mark.webgpu),
]
Device = Literal["wasm", "webgpu"]


def pack(
    folder: Path, proto: ModelProto, targets: tuple[str, ...] = ("wasm", "webgpu")
) -> tuple[Path, Report]:
    """A model's pack, and what convert reported."""
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return folder / "pack", pyruntime.convert(path, folder / "pack", targets=targets)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("name", "reads"), [("loop-parameter", 0), ("loop-while", 1), ("if-data", 2)])
def test_only_data_is_read_back(tmp_path: Path, device: Device, name: str, reads: int) -> None:
    proto, every = MODELS[name]
    path, _ = pack(tmp_path, proto)
    with pyruntime.load(path, device=device) as session:
        assert session.report.reads == (reads if device == "webgpu" else 0)
        assert session.report.host_steps == 0
        first = [session.run(feeds) for feeds in every]
        for feeds, expected in zip(every, first, strict=True):  # whatever ran in between
            for key, array in session.run(feeds).items():
                np.testing.assert_array_equal(array, expected[key])


@pytest.mark.parametrize("device", DEVICES)
def test_sizes_that_data_decide_are_named_and_read_once(tmp_path: Path, device: Device) -> None:
    proto, every = SELECTING["select-detector"]
    path, _ = pack(tmp_path, proto)
    found = json.loads((path / "pack.json").read_text())["entries"][0]["sizes"]
    most = [5, 12, "anchors", "min", "*", "batch", "*"]  # classes, boxes of each
    assert found == [{"name": "nonmaxsuppression", "most": most}]
    with pyruntime.load(path, device=device) as session:
        assert session.report.reads == (device == "webgpu")
        assert session.outputs[0].shape == ("nonmaxsuppression", 6)
        for feeds in (*every, every[0]):
            made = session.run(feeds)
            assert made["out"].shape == tuple(made["shape"])


@pytest.mark.parametrize("device", DEVICES)
def test_sizes_that_lead_nowhere_are_refused(tmp_path: Path, device: Device) -> None:
    path, report = pack(tmp_path, squeezing(random(3, 2, 5)))
    assert any("If 'if'" in note for note in report.notes)
    with pyruntime.load(path, device=device) as session:
        assert session.run({"x": random(3, 2, 7)})["out"].shape == (3, 3)
        with pytest.raises(pyruntime.InputError, match=r"If 'if' takes its first branch.*given b=3, n=8"):
            session.run({"x": random(3, 2, 8)})


@pytest.mark.wasm
def test_loops_without_end_are_errors(tmp_path: Path) -> None:
    nodes = [accumulating("", "b", looped(STEP, ["a"], ["go", "a2"]), ["y"])]
    weights = {"w": LOOPED["w"], "b": np.array(True)}
    path, _ = pack(tmp_path, model(nodes, {"x": X}, ["y"], weights=weights), ("wasm",))
    with pyruntime.load(path, device="wasm") as session:
        for _ in range(2):
            with pytest.raises(pyruntime.RunError, match="a loop does not end"):
                session.run({"x": X})
