"""Vite and webpack find the Worker by themselves, and what they make works under a strict page policy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.server import Server

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.browser

OPTIONS: tuple[dict[str, Any], ...] = (
    {"device": "wasm", "worker": False},
    {"device": "wasm", "worker": True},
    {"device": "wasm", "threads": 2},
    {"device": "webgpu"},
    {"device": "webgpu", "worker": True},
)


@pytest.fixture
def page(bundled: Path, server: Server, context: BrowserContext) -> Page:
    """The bundled page."""
    server.folders["/app/"] = bundled
    opened = context.new_page()
    opened.goto(f"{server.url}/app/index.html")
    opened.locator("html[data-ready]").wait_for()
    return opened


@pytest.mark.parametrize("options", OPTIONS, ids=json.dumps)
def test_bundled_page(page: Page, packs: Path, options: dict[str, Any]) -> None:
    pack = "team" if "threads" in options else "affine"
    case = json.loads((packs / f"{pack}.cases.json").read_text())[0]
    options = {**options, "entry": case["entry"]}
    made = page.evaluate(
        "([url, options, feeds]) => answer(url, options, feeds)", [f"/packs/{pack}/", options, case["feeds"]]
    )
    assert made["device"] == options["device"]
    if "threads" in options:
        assert made["threads"] == 2
    wanted = {name: {"data": y["data"], "shape": y["shape"]} for name, y in case["outputs"].items()}
    assert made["outputs"] == wanted
