"""all-MiniLM-L6-v2 in integers: how many bytes are left, and vectors that keep their directions."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

import pyruntime


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.wasm
@pytest.mark.parametrize(
    ("form", "share", "cosine"), [("int8", 0.27, 0.99), ("int4", 0.17, 0.94), ("int8-weights", 0.29, 0.999)]
)
def test_minilm(
    minilm: Path,
    shared_models: Path,
    tmp_path: Path,
    form: Literal["int8", "int4", "int8-weights"],
    share: float,
    cosine: float,
) -> None:
    report = pyruntime.convert(minilm, tmp_path / "pack", targets=("wasm",), quantize=form)
    assert len(report.quantized) == 26  # four products a layer, of which one is three, and two tables
    assert not report.unquantized
    weights = (minilm / "model.safetensors").stat().st_size
    assert sum(report.files.values()) <= share * weights
    with np.load(shared_models / "minilm_reference.npz") as data:
        feeds = {name: data[name] for name in ("input_ids", "attention_mask")}
        recorded = data["embedding"]
    with pyruntime.load(tmp_path / "pack", device="wasm") as session:
        found = np.asarray(session.run(feeds)["sentence_embedding"])
    cosines = (found * recorded).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(recorded, axis=1)
    assert cosines.min() >= cosine
