"""The JavaScript and HTML blocks, each as a page of its own in Chromium."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.server import ISOLATED, STRICT, Server
from tests.documents.blocks import Block, blocks

if TYPE_CHECKING:
    from playwright.sync_api import Browser

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
OUTPUT, SHOWN = "<output></output>", "0.09 0.24 0.67"  # of what the quick starts' pages show
CDN, WHEEL = "https://cdn.jsdelivr.net/pyodide/v314.0.7/full/", "https://example.org/"


def page_of(block: Block, server: Server) -> str:
    """The block as a page that says when it has come to its end."""
    text = block.text.replace(CDN, "/pyodide/").replace(WHEEL, f"{server.url}/wheel/")
    if block.language == "html":
        return HEAD + re.sub(r"(?<!\>)</script>", DONE + "</script>", text)
    before = "" if "load(" in text else SESSION
    return f'{HEAD}{OUTPUT}<script type="module">{before}{text}{DONE}</script>'


@pytest.mark.parametrize("block", blocks("js", "html"), ids=str)
def test_page(block: Block, server: Server, browser: Browser, tmp_path: Path) -> None:
    path = "/python/page.html" if "pyodide" in block.text else "/page.html"
    server.pages[path] = page_of(block, server)
    for script in blocks("js"):
        if script.file == block.file and f'src="./{script.name}"' in block.text:
            (tmp_path / script.name).write_text(script.text + DONE)
            server.folders[f"/{script.name}"] = tmp_path / script.name
    context = browser.new_context()
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(server.url + path)
    page.locator("html[data-done]").wait_for(timeout=60_000)
    shown = page.locator("output").all_text_contents()
    context.close()
    assert errors == []
    if re.search('<output>|"output"', block.text):
        assert shown == [SHOWN]


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_headers(block: Block) -> None:
    """What a server is told to send is what the pages of all tests are served with."""
    for line in block.text.splitlines():
        name, value = line.split(": ", 1)
        sent = {**ISOLATED, **STRICT}[name].split("; ")
        assert set(value.split("; ")) <= set(sent)
