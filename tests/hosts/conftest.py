"""Fixtures for tests on every host: a server of packs, of pages and of Pyodide, and a `Place` for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.fixtures import ROOT, browser, package
from tests.browser.golden import Arrays
from tests.browser.server import ISOLATED, Server, serving
from tests.hosts import places
from tests.hosts.places import Host, Place
from tests.pyodide.conftest import PAGE as PYTHON_PAGE
from tests.pyodide.conftest import PYODIDE, node_host, wheel
from tests.pyodide.hosts import HERE as PYTHON
from tests.pyodide.hosts import Node, Tab

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

__all__ = ["browser", "node_host", "package", "wheel"]

Run = Callable[[Path, Sequence[Arrays]], list[Arrays]]
Url = Callable[[Path], str]
PAGE = (
    '<!doctype html><title>test</title><script type="module">'
    'import * as harness from "/harness/harness.js"; globalThis.harness = harness;</script>'
)


@pytest.fixture(scope="session")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for the packs that tests convert, which is served."""
    return tmp_path_factory.mktemp("packs")


@pytest.fixture(scope="session")
def server(package: Path, npm: None, packs: Path, wheel: Path) -> Iterator[Server]:
    """Serves packs, both runtimes, Pyodide, and a page for JavaScript and one for Python."""
    with serving() as running:
        running.folders = {"/packs/": packs, "/js/": package, "/wheel/": wheel.parent, "/pyodide/": PYODIDE}
        running.folders |= {"/harness/": ROOT / "tests" / "browser", "/": PYTHON}
        running.pages = {"/plain.html": PAGE, "/isolated.html": PAGE, "/python.html": PYTHON_PAGE}
        running.headers = dict.fromkeys(("/isolated.html", "/python.html", "/js/worker.js"), ISOLATED)
        yield running


@pytest.fixture(scope="session")
def url(server: Server, packs: Path) -> Url:
    """The address of a pack in the served folder."""
    return lambda pack: f"{server.url}/packs/{pack.relative_to(packs)}/"


@pytest.fixture(scope="package")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """What all pages of this folder are opened in."""
    opened = browser.new_context()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def native() -> Place:
    """This process."""
    return places.native


def _page(context: BrowserContext, address: str, url: Url) -> Place:
    page = context.new_page()
    page.goto(address)
    page.wait_for_function("globalThis.harness")
    return places.in_page(page, url)


@pytest.fixture(scope="package")
def page(context: BrowserContext, server: Server, url: Url) -> Place:
    """A page as any server sends it."""
    return _page(context, f"{server.url}/plain.html", url)


@pytest.fixture(scope="package")
def isolated_page(context: BrowserContext, server: Server, url: Url) -> Place:
    """A cross-origin isolated page, where threads can share memory."""
    return _page(context, f"{server.url}/isolated.html", url)


@pytest.fixture(scope="session")
def python_node(node_host: Node, url: Url) -> Place:
    """Pyodide in Node."""
    return places.in_python(node_host, url)


@pytest.fixture(scope="package")
def python_page(context: BrowserContext, server: Server, url: Url) -> Place:
    """Pyodide in a cross-origin isolated page."""
    return places.in_python(Tab(context.new_page(), f"{server.url}/python.html"), url)


@pytest.fixture
def run(request: pytest.FixtureRequest, host: Host) -> Run:
    """Runs a pack on the test's host, where its session must have the device and the threads asked for."""
    place: Place = request.getfixturevalue(host.place)

    def run(pack: Path, feeds: Sequence[Arrays]) -> list[Arrays]:
        made = place(pack, host.options, feeds)
        assert (made.device, made.threads) == (host.device, host.threads or 1)
        return made.outputs

    return run
