"""The golden packs of tests/golden in Chromium: the same folder and tolerances as on the native devices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser import golden
from tests.browser.server import Server

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("device", ["wasm", "webgpu"])
def test_golden_packs(page: Page, server: Server, golden_packs: Path, device: str) -> None:
    """Every case of every pack, at every size."""
    server.folders["/golden/"] = golden_packs
    count = 0
    for name in golden.names(golden_packs):
        if device == "webgpu" and name.endswith("-wasm"):
            continue
        # without a Worker: starting hundreds takes longer than all the rest
        reports = golden.check(page, f"/golden/{name}/", golden_packs, name, {"device": device, "worker": False})
        assert {r["device"] for r in reports} == {device}
        count += len(reports)
    assert count > 500
