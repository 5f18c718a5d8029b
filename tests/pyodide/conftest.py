"""Fixtures for tests in Pyodide: the wheel, a server for it and for packs, one Pyodide per host."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyruntime_converter.build import build_pack

from pyruntime.pack.schema import Model
from tests.browser.fixtures import JS, ROOT, browser, package
from tests.browser.server import ISOLATED, STRICT, Server, serving
from tests.golden.build import GAPS, NO_SOURCE
from tests.golden.build import listed as cases_json
from tests.golden.cases import goldens
from tests.packs.fixtures import packs
from tests.pyodide.hosts import HERE, Host, Node, Tab
from tests.state.fixtures import stateful

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["browser", "package", "packs", "stateful"]

PYODIDE = JS / "node_modules" / "pyodide"
PAGE = '<!doctype html><title>Pyodide</title><script type="module" src="/page.js"></script>'


@pytest.fixture(scope="session")
def wheel(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    (folder / "name.txt").write_text(built.name)
    return built


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one pack of golden cases from all over the list, and with their feeds and outputs."""
    gaps = GAPS.read_text()
    listed = [case for case in goldens() if f"{case.name}:" not in gaps][::20]
    folder = tmp_path_factory.mktemp("sample")
    model = Model("sample", "ops", NO_SOURCE)
    build_pack([c.graph() for c in listed], folder / "sample", model, assets={"words.txt": b"words"})
    (folder / "sample.cases.json").write_text(json.dumps(cases_json(listed)))
    return folder


@pytest.fixture(scope="session")
def server(
    package: Path,
    npm: None,
    packs: Path,
    sample: Path,
    wheel: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """Serves /pyodide/, /wheel/, /js/, packs, /other/ (what tests add) and the page that loads Pyodide."""
    with serving() as running:
        running.folders = {"/pyodide/": PYODIDE, "/wheel/": wheel.parent, "/js/": package, "/packs/": packs}
        running.folders |= {"/sample/": sample, "/other/": tmp_path_factory.mktemp("other"), "/": HERE}
        running.pages = dict.fromkeys(("/plain.html", "/strict.html", "/isolated.html"), PAGE)
        running.pages["/worker.html"] = PAGE.replace("page.js", "worker.js")
        running.headers = {"/strict.html": STRICT, "/isolated.html": ISOLATED, "/js/worker.js": ISOLATED}
        yield running


def node(server: Server, wheel: Path, *flags: str) -> Iterator[Node]:
    """Pyodide in Node."""
    program = shutil.which("node")
    assert program, "node comes with the development set-up"
    running = Node(program, PYODIDE, f"{server.url}/wheel/{wheel.name}", *flags)
    yield running
    running.close()


@pytest.fixture(scope="session")
def node_host(server: Server, wheel: Path) -> Iterator[Node]:
    """Pyodide in Node where Python cannot wait: without JavaScript Promise Integration."""
    yield from node(server, wheel)


@pytest.fixture(scope="session")
def waiting_node(server: Server, wheel: Path) -> Iterator[Node]:
    """Pyodide in Node with JavaScript Promise Integration."""
    yield from node(server, wheel, "--experimental-wasm-jspi")


@pytest.fixture(scope="package")
def tab(browser: Browser, server: Server) -> Iterator[Tab]:
    """Pyodide in a page of Chromium, which has JavaScript Promise Integration."""
    context = browser.new_context()
    yield Tab(context.new_page(), f"{server.url}/plain.html")
    context.close()


@pytest.fixture(params=["node", pytest.param("chromium", marks=pytest.mark.browser)])
def host(request: pytest.FixtureRequest) -> Host:
    """Either host."""
    found: Host = request.getfixturevalue("node_host" if request.param == "node" else "tab")
    return found
