"""Fixtures: a browser, and a server with what the pages of the documents load."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyruntime
from tests.browser.fixtures import ROOT, browser, package
from tests.browser.server import ISOLATED, Server, serving
from tests.documents import models
from tests.frontends.onnx_models import one_node
from tests.pyodide.conftest import PYODIDE, wheel

__all__ = ["browser", "package", "wheel"]

PACKS: tuple[tuple[str, str, dict[str, Any]], ...] = (  # as the documents make them
    ("model.pack", "model.onnx", {}),
    ("model", "model.onnx", {}),
    ("tiny.pack", "tiny.onnx", {}),
    ("minilm.pack", "all-MiniLM-L6-v2", {}),
    ("vad.pack", "silero_vad.onnx", {"state": {"state": "stateN"}, "symbols": {"batch": 1}}),
    ("pipeline.pack", "pipeline.onnx", {}),
    ("collate.pack", "collate.onnx", {"elements": {"images": 3, "mask": None}, "values": {"steps": 4}}),
)


@pytest.fixture(scope="module")
def server(
    package: Path, npm: None, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Serves what the blocks load, and a page for each."""
    tokenizers = ROOT / "demo_site" / "node_modules" / "@huggingface" / "tokenizers" / "dist"
    folder = tmp_path_factory.mktemp("reader")
    models.write(folder)
    for name, model, options in PACKS:
        pyruntime.convert(folder / model, folder / "packs" / name, **options)
    row = one_node("Relu", {"x": np.zeros((1, 4), np.float32)}, outputs=["y"]).SerializeToString()
    (folder / "row.onnx").write_bytes(row)
    pyruntime.convert(folder / "row.onnx", folder / "python" / "model.pack")
    with serving() as running:
        running.folders = {"/packs/": folder / "packs", "/js/": package, "/tokenizers/": tokenizers}
        running.folders |= {
            "/node_modules/pyruntime/dist/": package,
            "/pyodide/": PYODIDE,
            "/wheel/": wheel.parent,
            "/package/dist/": package,
            "/tiny.pack/": folder / "packs" / "tiny.pack",
        }
        running.folders["/python/"] = folder / "python"
        running.common = ISOLATED
        yield running
