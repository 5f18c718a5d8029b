"""Packs in Cache Storage: a second load fetches pack.json alone, or nothing without a network."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.server import Server

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

DEVICES = ({"device": "webgpu"}, {"device": "wasm"}, {"device": "wasm", "worker": False})
LOAD = """async ([url, options]) => {
    const session = await harness.load(url, options);
    await session.run(harness.zeros(session.inputs, 3));
    session.dispose();
    const { bytesLoaded, bytesCached } = session.report;
    return [bytesLoaded, bytesCached];
}"""
KEPT = """async (name) => (await (await caches.open(name)).keys()).map(({ url }) => new URL(url).pathname)"""


@pytest.fixture
def folder(server: Server) -> Path:
    """Where this test puts versions of a pack: /other/versions/."""
    folder = server.folders["/other/"] / "versions"
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def fetched(page: Page, server: Server, options: dict[str, Any]) -> tuple[list[int], set[str]]:
    """Bytes loaded and bytes from the cache, and the pack's files that the server was asked for."""
    server.requests.clear()
    found: list[int] = page.evaluate(LOAD, ["/other/versions/", options])
    return found, {path.split("/")[-1] for path in server.requests if path.startswith("/other/")}


@pytest.mark.parametrize("options", DEVICES)
def test_versions(page: Page, server: Server, packs: Path, folder: Path, options: dict[str, Any]) -> None:
    options = {**options, "cache": "versions"}
    shutil.copytree(packs / "affine", folder)
    (loaded, cached), files = fetched(page, server, options)
    assert cached == 0 < loaded
    assert len(files) > 2
    assert fetched(page, server, options) == ([loaded, loaded], {"pack.json"})
    affine = set(page.evaluate(KEPT, "versions"))
    assert {path.split("/")[-1] for path in affine} == files

    shutil.rmtree(folder)
    shutil.copytree(packs / "dtypes", folder)
    later = time.time() + 60  # servers tell versions apart by the second
    for file in folder.iterdir():
        os.utime(file, (later, later))
    (loaded, cached), _ = fetched(page, server, options)
    assert cached == 0
    kept = page.evaluate(KEPT, "versions")
    assert kept
    assert all((folder / path.split("/")[-1]).exists() for path in kept), "the old version stays in the cache"
    assert fetched(page, server, options)[0] == [loaded, loaded]


@pytest.mark.parametrize("options", DEVICES)
def test_without_a_network(
    page: Page, server: Server, packs: Path, folder: Path, options: dict[str, Any]
) -> None:
    options = {**options, "cache": "offline"}
    shutil.copytree(packs / "affine", folder)
    (loaded, _), _files = fetched(page, server, options)
    page.context.set_offline(True)
    assert fetched(page, server, options) == ([loaded, loaded], set())
    lacks = {**options, "cache": "another"}
    error = page.evaluate("(a) => harness.caught(() => harness.load(...a))", ["/other/versions/", lacks])
    assert (error["right"], error["name"]) == (True, "MissingFileError")
    page.context.set_offline(False)
    shutil.rmtree(folder)  # a pack that is gone is no pack without a network
    error = page.evaluate("(a) => harness.caught(() => harness.load(...a))", ["/other/versions/", options])
    assert (error["right"], error["name"]) == (True, "MissingFileError")


def test_devices_share_weights(page: Page, server: Server, packs: Path, folder: Path) -> None:
    shutil.copytree(packs / "affine", folder)
    fetched(page, server, {"device": "wasm", "cache": True})
    _, files = fetched(page, server, {"device": "webgpu", "cache": True})
    assert not any(name.endswith(".safetensors") for name in files)
    assert page.evaluate("caches.keys()") == ["pyruntime"]


@pytest.mark.parametrize("options", DEVICES)
def test_a_full_disk(page: Page, server: Server, packs: Path, folder: Path, options: dict[str, Any]) -> None:
    shutil.copytree(packs / "affine", folder)
    protocol = page.context.new_cdp_session(page)
    protocol.send("Storage.overrideQuotaForOrigin", {"origin": server.url, "quotaSize": 1})
    for _ in range(2):
        (loaded, cached), _files = fetched(page, server, {**options, "cache": "full"})
        assert cached == 0 < loaded
    assert page.evaluate(KEPT, "full") == []


def test_nothing_is_kept_unasked(page: Page, server: Server, packs: Path, folder: Path) -> None:
    shutil.copytree(packs / "affine", folder)
    for cache in (None, False):
        assert fetched(page, server, {"device": "wasm", "cache": cache})[0][1] == 0
    assert page.evaluate("caches.keys()") == []
