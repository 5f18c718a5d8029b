"""Real trained models in the browser give what was recorded of them, on both devices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import pyruntime
from tests.browser import golden
from tests.browser.server import Server
from tests.converter.compare import assert_close

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.shared, pytest.mark.slow]

MODELS = ("ultraface_rfb320", "magika_v1")


@pytest.fixture(scope="module", params=MODELS)
def converted(request: pytest.FixtureRequest, server: Server, shared_models: Path) -> str:
    """The model's name; its pack is served below /other/."""
    name: str = request.param
    pyruntime.convert(shared_models / f"{name}.onnx", server.folders["/other/"] / name)
    return name


@pytest.mark.parametrize("options", [{"device": "webgpu"}, {"device": "wasm"}])
def test_recorded_outputs(page: Page, converted: str, shared_models: Path, options: dict[str, Any]) -> None:
    with np.load(shared_models / f"{converted}.npz") as data:
        cases = json.loads(str(data["meta"]))["cases"]
        feeds = [
            {spec["name"]: data[f"c{i}_in{j}"] for j, spec in enumerate(case["inputs"])}
            for i, case in enumerate(cases)
        ]
        expected = [
            {spec["name"]: data[f"c{i}_out{j}"] for j, spec in enumerate(case["outputs"])}
            for i, case in enumerate(cases)
        ]
    made = page.evaluate(
        "([url, options, feeds]) => harness.runAll(url, options, feeds)",
        [f"/other/{converted}/", options, [golden.encode(f) for f in feeds]],
    )
    assert made["report"]["device"] == options["device"]
    assert made["report"]["hostSteps"] == 0
    for outputs, wanted in zip(made["outputs"], expected, strict=True):
        for name, array in wanted.items():
            assert_close(golden.decode(outputs[name]), array, 1e-3)
