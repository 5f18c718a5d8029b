"""Weights of float16 on the GPU, natively: half the memory, results as precise as the model is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pyruntime
from pyruntime.pack.reader import Pack
from tests.converter.compare import assert_close
from tests.packs import half

pytestmark = pytest.mark.webgpu


@pytest.fixture(scope="module", params=["f32", "f16"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The model's dtype, and its pack."""
    folder, dtype = tmp_path_factory.mktemp("half"), str(request.param)
    model = half.write(folder / "model.onnx", dtype)
    pyruntime.convert(model, folder / "pack", targets=("webgpu",), weights="f16")
    return dtype, folder / "pack"


@pytest.mark.parametrize("rows", [1, 7])
def test_results(made: tuple[str, Path], rows: int) -> None:
    dtype, path = made
    feeds = {
        k: a.astype(np.float32) if dtype == "f32" and k == "image" else a for k, a in half.feeds(rows).items()
    }
    with pyruntime.load(path, device="webgpu") as session:
        results = session.run(feeds)
    for name, wanted in half.expected(feeds).items():
        assert_close(np.asarray(results[name], np.float32), wanted, half.TOLERANCE[dtype])


def test_weights_take_two_bytes(made: tuple[str, Path]) -> None:
    _, path = made
    with Pack(path) as pack:
        tensors, target = pack.manifest.weights.tensors, pack.manifest.targets.webgpu
    assert target is not None
    stored = {tensors[w.tensor].name: (w.dtype, tensors[w.tensor].dtype.value) for w in target.weights}
    assert all(held == kept for held, kept in stored.values() if kept.startswith("float"))
    assert {"table", "dense", "last"} <= {name for name, (held, _) in stored.items() if held == "float16"}
    held = sum(tensors[w.tensor].bytes for w in target.weights)
    assert sum(target.buffers) <= held + 256 * len(target.weights)
