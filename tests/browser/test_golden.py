"""Packs in the browser give what they must, on every device and in every kind of page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import golden
from tests.browser.server import Server

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

WEBGPU: dict[str, Any] = {"device": "webgpu"}
WASM: dict[str, Any] = {"device": "wasm"}


@pytest.mark.parametrize("worker", [False, True])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("affine", WEBGPU),
        ("dtypes", WEBGPU),
        ("pairs", WEBGPU),
        ("beside", WEBGPU),
        ("affine", WASM),
        ("dtypes", WASM),
        ("double", WASM),
    ],
)
def test_handmade(
    page: Page, server: Server, packs: Path, name: str, options: dict[str, Any], worker: bool
) -> None:
    reports = golden.check(page, f"/packs/{name}/", packs, name, {**options, "worker": worker})
    assert {r["device"] for r in reports} == {options["device"]}
    assert {r["reason"] for r in reports} == {"asked for"}


def test_wasm_runs_in_a_worker_by_default(page: Page, server: Server, packs: Path) -> None:
    server.requests.clear()
    (report,) = golden.check(page, "/packs/double/", packs, "double", {"device": "auto"})
    assert report["device"] == "wasm"
    assert "webgpu target" in report["reason"]
    assert "/js/worker.js" in server.requests
    assert report["variant"] == ["relaxed-simd"]


def test_auto_shuns_software_adapters(page: Page, packs: Path) -> None:
    reports = golden.check(page, "/packs/affine", packs, "affine", {})
    assert {r["device"] for r in reports} == {"wasm"}
    assert "software" in reports[0]["reason"]


@pytest.mark.parametrize("path", ["/isolated.html", "/strict.html"])
@pytest.mark.parametrize("options", [WEBGPU, WASM])
def test_pages_with_policies(
    open_page: Callable[[str], Page], packs: Path, path: str, options: dict[str, Any]
) -> None:
    page = open_page(path)
    assert page.evaluate("crossOriginIsolated") == (path == "/isolated.html")
    golden.check(page, "/packs/affine", packs, "affine", options)


@pytest.mark.parametrize("options", [WASM, WEBGPU])
def test_packs_of_every_format(page: Page, server: Server, formats: Path, options: dict[str, Any]) -> None:
    server.folders = {"/formats/": formats, **server.folders}
    for folder in formats.iterdir():
        for name in golden.names(folder):
            golden.check(page, f"/formats/{folder.name}/{name}/", folder, name, options)


@pytest.mark.slow
@pytest.mark.parametrize("options", [WASM, WEBGPU])
def test_golden_packs(page: Page, server: Server, golden_packs: Path, options: dict[str, Any]) -> None:
    """Every op case that the native runtimes pass too."""
    server.folders = {"/golden/": golden_packs, **server.folders}
    failures = []
    for name in golden.names(golden_packs):
        if options is WEBGPU and name.endswith("-wasm"):
            continue
        try:
            golden.check(page, f"/golden/{name}/", golden_packs, name, options)
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, "\n".join(failures)
