"""Packs in Firefox give what they must: WGSL through naga and a system driver, Wasm through SpiderMonkey.

`python -m tests.firefox` runs all golden packs there.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser import golden
from tests.browser.server import Server
from tests.firefox.tab import Tab


@pytest.fixture(scope="module")
def gpu(tab: Tab) -> str:
    """What Firefox calls its WebGPU adapter."""
    name = tab.evaluate(
        """async () => {
            const adapter = await navigator.gpu?.requestAdapter();
            return adapter && (adapter.info?.vendor || "unnamed");
        }"""
    )
    if not name:
        pytest.skip("Firefox offers no WebGPU adapter here")
    return str(name)


@pytest.mark.parametrize("name", ["affine", "dtypes", "double", "team"])
@pytest.mark.parametrize("worker", [False, True])
def test_wasm(tab: Tab, packs: Path, name: str, worker: bool) -> None:
    options = {"device": "wasm", "worker": worker}
    reports = golden.check(tab, f"/packs/{name}/", packs, name, options)
    assert {r["device"] for r in reports} == {"wasm"}


@pytest.mark.parametrize("name", ["affine", "dtypes", "beside"])
@pytest.mark.parametrize("worker", [False, True])
def test_webgpu(tab: Tab, gpu: str, packs: Path, name: str, worker: bool) -> None:
    options = {"device": "webgpu", "worker": worker}
    reports = golden.check(tab, f"/packs/{name}/", packs, name, options)
    assert {r["device"] for r in reports} == {"webgpu"}


@pytest.mark.parametrize("device", ["wasm", "webgpu"])
def test_formats(tab: Tab, gpu: str, server: Server, formats: Path, device: str) -> None:
    """Whole models: state, control flow, sizes that data decide, steps on the host, strings."""
    server.folders = {"/formats/": formats, **server.folders}
    for folder in formats.iterdir():
        for name in golden.names(folder):
            golden.check(tab, f"/formats/{folder.name}/{name}/", folder, name, {"device": device})
