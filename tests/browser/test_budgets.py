"""What a page downloads before weights stays small: the runtime, and the code of a real model's pack."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pyruntime
from tests.browser.server import Server

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

RUNTIME_BYTES = 25_000  # JavaScript, compressed
CODE_BYTES = {"wasm": 120_000, "webgpu": 80_000}  # everything before weights, as a server compresses it


def compressed(file: Path) -> int:
    return len(gzip.compress(file.read_bytes(), 9, mtime=0))


def fetched(page: Page, server: Server, url: str, device: str) -> list[Path]:
    """The files that loading a pack asked the server for, each once, weights left out."""
    server.requests.clear()
    page.evaluate(
        "async ([url, device]) => (await harness.load(url, { device })).dispose()",
        [url, device],
    )
    files = []
    for path in ["/js/pyruntime.js", *server.requests]:  # the first came with the page
        prefix = next(p for p in server.folders if path.startswith(p))
        file = server.folders[prefix] / path.removeprefix(prefix)
        if file.suffix != ".safetensors" and file not in files:
            files.append(file)
    return files


def test_runtime(page: Page, server: Server) -> None:
    files = [f for f in fetched(page, server, "/packs/dtypes/", "wasm") if f.suffix == ".js"]
    assert {f.name for f in files} == {"pyruntime.js", "worker.js"}
    assert sum(map(compressed, files)) <= RUNTIME_BYTES


@pytest.mark.shared
@pytest.mark.parametrize("device", list(CODE_BYTES))
def test_code_of_a_real_model(page: Page, server: Server, shared_models: Path, device: str) -> None:
    pack = server.folders["/other/"] / "budget"
    if not pack.exists():
        pyruntime.convert(shared_models / "ultraface_rfb320.onnx", pack)
    files = fetched(page, server, "/other/budget/", device)
    assert {f.suffix for f in files} == {".js", ".json", ".wasm" if device == "wasm" else ".wgsl"}
    sizes = {f.name: compressed(f) for f in files}
    raw = sum(f.stat().st_size for f in files)
    print(f"{device}: {sum(sizes.values()):,} bytes compressed, {raw:,} raw: {sizes}")
    assert sum(sizes.values()) <= CODE_BYTES[device]
