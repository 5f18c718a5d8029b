"""The JavaScript and HTML blocks, each as a page of its own in Chromium."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.server import Server
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
CDN, WHEEL = "https://cdn.jsdelivr.net/pyodide/v314.0.7/full/", "https://example.org/"


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
