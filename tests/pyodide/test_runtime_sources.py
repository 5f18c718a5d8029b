"""Where the JavaScript runtime comes from: the wheel, a URL, a module; strict pages, Pyodide in a Worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser import golden
from tests.browser.server import Server
from tests.pyodide.hosts import Host, Tab, call
from tests.pyodide.test_sessions import check

pytestmark = pytest.mark.browser


def requested(server: Server) -> list[str]:
    """The modules that were asked of the server, each once."""
    return sorted({path for path in server.requests if path.startswith("/js/")})


def test_the_wheels_own(tab: Tab, server: Server, packs: Path) -> None:
    server.requests.clear()
    assert check(tab, f"{server.url}/packs/affine/", {"device": "wasm"}, packs, "affine")
    assert requested(server) == []


@pytest.mark.parametrize("scenario", ["run", "run_from_url"])
def test_a_url(tab: Tab, server: Server, packs: Path, scenario: str) -> None:
    """As an argument, or as pyruntime.runtime_url."""
    case = next(golden.cases(packs, "double"))
    options = {"device": "wasm", "runtime": f"js/pyruntime.js?{scenario}"}
    server.requests.clear()
    feeds = [golden.encode(given) for given, _ in case.runs]
    call(tab, scenario, url=f"{server.url}/packs/double/", options=options, feeds=feeds)
    assert "/js/pyruntime.js" in requested(server)


def test_urls_of_something_else(tab: Tab, server: Server) -> None:
    (server.folders["/other/"] / "empty.js").write_text("export const x = 1;\n")
    for runtime, words in {
        "/other/nothing.js": "cannot be imported from /other/nothing.js",
        "/other/empty.js": "is not the JavaScript runtime of pyruntime",
    }.items():
        name, _, text = call(
            tab, "load_error", url=f"{server.url}/packs/affine/", options={"runtime": runtime}
        )
        assert name == "DeviceError"
        assert words in text
        assert "runtime=URL" in text


@pytest.fixture(scope="module")
def strict(tab: Tab, server: Server) -> Tab:
    """A page that allows neither eval nor Blobs."""
    return Tab(tab.page.context.new_page(), f"{server.url}/strict.html")


def test_strict_pages_name_the_remedy(strict: Tab, server: Server) -> None:
    for options in ({}, {"runtime": "/js/pyruntime.js"}):
        name, _, text = call(strict, "load_error", url=f"{server.url}/packs/affine/", options=options)
        assert name == "DeviceError"
        assert "Content-Security-Policy" in text
        assert "hand it over as runtime" in text


@pytest.mark.parametrize("device", ["wasm", "webgpu"])
def test_strict_pages_hand_the_module_over(strict: Tab, server: Server, packs: Path, device: str) -> None:
    case = next(golden.cases(packs, "affine"))
    made = call(
        strict,
        "run_from_module",
        url=f"{server.url}/packs/affine/",
        options={"device": device, "worker": device == "wasm"},
        feeds=[golden.encode(given) for given, _ in case.runs],
    )
    assert made["device"] == device


@pytest.fixture(scope="module")
def isolated(tab: Tab, server: Server) -> Tab:
    """A cross-origin isolated page, where threads can share memory."""
    return Tab(tab.page.context.new_page(), f"{server.url}/isolated.html")


@pytest.mark.parametrize("runtime", [None, "/js/pyruntime.js"])
def test_threads(isolated: Tab, server: Server, packs: Path, runtime: str | None) -> None:
    """Helpers come from where the runtime comes from, Blobs included."""
    options = {"device": "wasm", "threads": 2, "runtime": runtime}
    assert check(isolated, f"{server.url}/packs/team/", options, packs, "team")


@pytest.fixture(scope="module")
def in_worker(tab: Tab, server: Server) -> Tab:
    """Pyodide in a Worker of a page."""
    return Tab(tab.page.context.new_page(), f"{server.url}/worker.html")


@pytest.mark.parametrize(
    "options",
    [{"device": "wasm", "worker": True}, {"device": "wasm", "worker": False}, {"device": "webgpu"}],
    ids=["wasm-worker", "wasm", "webgpu"],
)
def test_pyodide_in_a_worker(in_worker: Host, server: Server, packs: Path, options: dict[str, Any]) -> None:
    assert check(in_worker, f"{server.url}/packs/affine/", options, packs, "affine")
