"""Without a network: a page that a service worker keeps, and a service worker that runs a pack itself.

A Worker's requests pass the service worker whose scope its script is in, so that one stands at the root.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.server import ISOLATED, STRICT, serving

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

pytestmark = pytest.mark.browser

PAGE = '<!doctype html><title>offline</title><script type="module" src="/offline.js"></script>'
PACK = "/packs/affine/"


ANSWER = "([pack, options]) => answer(pack, options)"
SERVED = f"fetch('./answer?pack={PACK}').then((made) => made.json())"


@pytest.mark.parametrize("device", ["wasm", "webgpu"])
def test_offline(unpacked: Path, packs: Path, context: BrowserContext, device: str) -> None:
    options = {"device": device, "worker": True}
    page = context.new_page()
    with serving() as server:
        server.common = {**ISOLATED, **STRICT}
        server.folders = {"/npm/": unpacked, "/packs/": packs, "/": Path(__file__).with_name("app")}
        server.pages = {"/offline.html": PAGE}
        address = f"{server.url}/offline.html"
        for _ in range(2):  # what the first visit fetched passed no service worker
            page.goto(address)
            page.locator("html[data-ready]").wait_for()
            online = page.evaluate(ANSWER, [PACK, options])
            assert page.evaluate(SERVED) == online
    page.goto(address)
    page.locator("html[data-ready]").wait_for()
    assert page.evaluate(ANSWER, [PACK, options]) == online
    assert page.evaluate(SERVED) == online
