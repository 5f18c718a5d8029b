"""Plain `load` and `run`: where Python can wait for JavaScript, and the error where it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser import golden
from tests.browser.server import Server
from tests.converter.compare import assert_close
from tests.pyodide.hosts import Host, Node, Tab, call


@pytest.mark.parametrize("name", ["waiting_node", pytest.param("tab", marks=pytest.mark.browser)])
def test_plain_calls(request: pytest.FixtureRequest, server: Server, packs: Path, name: str) -> None:
    host: Host = request.getfixturevalue(name)
    devices = ("wasm", "webgpu") if name == "tab" else ("wasm",)
    case = next(golden.cases(packs, "dtypes"))
    ((feeds, expected),) = case.runs
    for device in devices:
        outputs = call(
            host,
            "run_sync",
            url=f"{server.url}/packs/dtypes/",
            options={"device": device},
            feeds=golden.encode(feeds),
        )
        for key, array in expected.items():
            assert_close(golden.decode(outputs[key]), array, 0)


def check_refusal(error: list[str], instead: str) -> None:
    name, code, text = error
    assert (name, code) == ("BlockingError", "blocking")
    assert text == f"Python cannot wait for JavaScript here: await {instead} instead"


def test_engines_that_cannot_wait(node_host: Node, server: Server) -> None:
    url = f"{server.url}/packs/affine/"
    check_refusal(call(node_host, "refusal", url=url), "pyruntime.load_async(url)")
    check_refusal(call(node_host, "refused_run", url=url, options={}), "session.run_async(feeds)")


@pytest.mark.browser
def test_callers_that_cannot_wait(tab: Tab, server: Server) -> None:
    """JavaScript that called Python without awaiting it."""
    error = call(tab, "refusal", sync=True, url=f"{server.url}/packs/affine/")
    check_refusal(error, "pyruntime.load_async(url)")
