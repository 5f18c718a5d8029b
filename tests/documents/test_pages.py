"""The JavaScript and HTML blocks, each as a page of its own in Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import pyruntime
from tests.browser.fixtures import ROOT, browser, package
from tests.browser.server import ISOLATED, Server, serving
from tests.documents import models
from tests.documents.blocks import Block, blocks
from tests.frontends.onnx_models import one_node
from tests.pyodide.conftest import PYODIDE, wheel

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["browser", "package", "wheel"]

pytestmark = pytest.mark.browser

HEAD = """<!doctype html><script type="importmap">{"imports": {
  "pyruntime": "/js/pyruntime.js", "@huggingface/tokenizers": "/tokenizers/tokenizers.mjs"}}</script>
<script>
  const done = () => { document.documentElement.dataset.done = ""; };
  addEventListener("error", done, true);
  addEventListener("unhandledrejection", done);
</script>"""
# what the text before a block has said to be there
SESSION = """
import { load } from "pyruntime";
const session = await load("/packs/minilm.pack/", { device: "wasm" });
"""
DONE = "\n;done();\n"
CDN, WHEEL = "https://cdn.jsdelivr.net/pyodide/v314.0.7/full/", "https://example.org/"


@pytest.fixture(scope="module")
def server(package: Path, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serves what the blocks load, and a page for each."""
    tokenizers = ROOT / "demo_site" / "node_modules" / "@huggingface" / "tokenizers" / "dist"
    if not (PYODIDE.is_dir() and tokenizers.is_dir()):
        pytest.skip("npm packages are not installed: make setup")
    folder = tmp_path_factory.mktemp("reader")
    models.write(folder)
    for name, model in (
        ("model.pack", "model.onnx"),
        ("model", "model.onnx"),
        ("minilm.pack", "all-MiniLM-L6-v2"),
    ):
        pyruntime.convert(folder / model, folder / "packs" / name)
    row = one_node("Relu", {"x": np.zeros((1, 4), np.float32)}, outputs=["y"]).SerializeToString()
    (folder / "row.onnx").write_bytes(row)
    pyruntime.convert(folder / "row.onnx", folder / "python" / "model.pack")
    with serving() as running:
        running.folders = {"/packs/": folder / "packs", "/js/": package, "/tokenizers/": tokenizers}
        running.folders |= {
            "/node_modules/pyruntime/dist/": package,
            "/pyodide/": PYODIDE,
            "/wheel/": wheel.parent,
        }
        running.folders["/python/"] = folder / "python"
        running.common = ISOLATED
        yield running


def page_of(block: Block, server: Server) -> str:
    """The block as a page that says when it has come to its end."""
    text = block.text.replace(CDN, "/pyodide/").replace(WHEEL, f"{server.url}/wheel/")
    if block.language == "html":
        return HEAD + text.replace("</script>", DONE + "</script>")
    before = "" if "load(" in text else SESSION
    return f'{HEAD}<script type="module">{before}{text}{DONE}</script>'


@pytest.mark.parametrize("block", blocks("js", "html"), ids=str)
def test_page(block: Block, server: Server, browser: Browser) -> None:
    path = "/python/page.html" if "pyodide" in block.text else "/page.html"
    server.pages[path] = page_of(block, server)
    context = browser.new_context()
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(server.url + path)
    page.locator("html[data-done]").wait_for(timeout=60_000)
    context.close()
    assert errors == []
