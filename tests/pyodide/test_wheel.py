"""The wheel: what it carries, how large it is, the page of its guide, and a wheel without the runtime."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.fixtures import ROOT
from tests.browser.server import Server
from tests.pyodide.hosts import Node, call

if TYPE_CHECKING:
    from playwright.sync_api import Browser

RUNTIME = {"pyruntime/runtime/web/js/pyruntime.js", "pyruntime/runtime/web/js/worker.js"}
URLS = {
    r"https://cdn\.jsdelivr\.net/pyodide/[^/]*/full/pyodide\.mjs": "/pyodide/pyodide.mjs",
    r"https://example\.org/pyruntime-[^\"]*\.whl": "/wheel/{wheel}",
}


def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
    return Parser().parsestr(wheel.read(name).decode())


def test_contents(wheel: Path) -> None:
    """One wheel for every platform, with the runtime in it, and in Pyodide without dependencies."""
    assert wheel.name.endswith("-py3-none-any.whl")
    assert wheel.stat().st_size < 2_000_000
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
        assert names >= RUNTIME
        assert not any(name.startswith(("tests/", "scripts/", "js_bindings/")) for name in names)
        required = metadata(opened).get_all("Requires-Dist") or []
    assert [r for r in required if "extra ==" not in r] == ["numpy>=2.0; sys_platform != 'emscripten'"]


def test_wheel_of_the_source_distribution(package: Path, tmp_path: Path) -> None:
    """It carries the built runtime along, so that Node is not needed again."""
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path)]
    subprocess.run([*build, "-t", "sdist"], cwd=ROOT, check=True, capture_output=True)
    (packed,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(packed) as opened:
        # early releases of Python 3.11 know no filters
        opened.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        opened.extractall(tmp_path)
    subprocess.run([*build, "-t", "wheel"], cwd=tmp_path / packed.name.removesuffix(".tar.gz"), check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as rebuilt:
        assert set(rebuilt.namelist()) >= RUNTIME


def test_wheels_without_the_runtime_say_so(node_host: Node, server: Server) -> None:
    name, _, text = call(node_host, "without_the_runtime", url=f"{server.url}/packs/affine/")
    assert name == "DeviceError"
    assert text.startswith("this wheel was built without the JavaScript runtime: serve pyruntime.js")


@pytest.mark.browser
def test_the_page_of_the_quick_start(browser: Browser, server: Server, packs: Path, wheel: Path) -> None:
    """As it stands there, but for the two addresses of the wide web."""
    (snippet,) = re.findall(
        r"```html\n(.*?)```", (ROOT / "docs" / "start" / "pyodide.md").read_text(), re.DOTALL
    )
    for pattern, here in URLS.items():
        snippet, count = re.subn(pattern, here.format(wheel=wheel.name), snippet)
        assert count == 1
    server.pages["/quick.html"] = f"<!doctype html><title>quick start</title>{snippet}"
    server.folders = {"/model.pack/": packs / "affine", **server.folders}
    page = browser.new_page()
    with page.expect_console_message(lambda m: "float32" in m.text, timeout=60_000) as printed:
        page.goto(f"{server.url}/quick.html")
    assert printed.value.text == "wasm float32 (1, 3)"
    page.close()
