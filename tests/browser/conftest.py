"""Fixtures for tests in Chromium: packs, a server that serves them and the built package, pages."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.fixtures import browser, package
from tests.browser.server import ISOLATED, STRICT, Server, serving
from tests.formats.fixtures import formats
from tests.packs import handmade
from tests.packs.maker import compiler_missing
from tests.state.fixtures import stateful

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["browser", "formats", "package", "stateful"]

PAGE = '<!doctype html><title>test</title><script type="module" src="/page.js"></script>'


@pytest.fixture(scope="session")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hand-made packs and their cases."""
    if compiler_missing():
        pytest.skip(compiler_missing())
    folder = tmp_path_factory.mktemp("packs")
    handmade.write(folder)
    return folder


@pytest.fixture(scope="session")
def server(package: Path, packs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serves /js/, /packs/, /other/ (what tests add), and three kinds of empty page."""
    with serving() as running:
        here = Path(__file__).parent
        other = tmp_path_factory.mktemp("other")
        static = tmp_path_factory.mktemp("static")
        shutil.copy(here / "harness.js", static / "harness.js")
        (static / "page.js").write_text(
            'import * as harness from "/harness.js"; globalThis.harness = harness;\n'
        )
        running.folders = {"/js/": package, "/packs/": packs, "/other/": other, "/": static}
        running.pages = {"/plain.html": PAGE, "/isolated.html": PAGE, "/strict.html": PAGE}
        running.headers = {"/isolated.html": ISOLATED, "/strict.html": STRICT, "/js/worker.js": ISOLATED}
        yield running


@pytest.fixture
def open_page(browser: Browser, server: Server) -> Iterator[Callable[[str], Page]]:
    """Opens one of the server's pages, with the harness as the global `harness`."""
    context = browser.new_context()

    def opened(path: str) -> Page:
        page = context.new_page()
        page.goto(server.url + path)
        page.wait_for_function("globalThis.harness")
        return page

    yield opened
    context.close()


@pytest.fixture
def page(open_page: Callable[[str], Page]) -> Page:
    """An empty page."""
    return open_page("/plain.html")
