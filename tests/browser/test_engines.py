"""Engines that lack something: the next variant, or an error that says what is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import golden
from tests.browser.server import ISOLATED, Server

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

# refuses modules with f32x4.relaxed_madd
NO_RELAXED = """const validate = WebAssembly.validate, wanted = [253, 133, 2];
    WebAssembly.validate = (bytes) =>
        !bytes.some((_, i) => wanted.every((byte, k) => bytes[i + k] === byte)) && validate(bytes);"""
NO_SIMD = """WebAssembly.validate = () => false;
    WebAssembly.compile = async () => { throw new WebAssembly.CompileError("no"); };"""
NO_GROWTH = """WebAssembly.Memory.prototype.grow = () => { throw new RangeError("no more"); };"""
NO_MEMORY = """WebAssembly.Memory = function () { throw new RangeError("could not allocate memory"); };"""
# says that it is ready to run, and fails at the first run as a Worker does whose script has a fault
FAULT = """const post = globalThis.postMessage.bind(globalThis);
    globalThis.postMessage = (...all) => {
        post(...all);
        if (all[0].report) onmessage = () => setTimeout(() => { throw new Error("a fault of its own"); });
    };"""
ONE_PROCESSOR = "Object.defineProperty(navigator, 'hardwareConcurrency', { value: 1 });"


@pytest.fixture
def altered(server: Server) -> Callable[[str], dict[str, Any]]:
    """Options for a session whose Worker runs this code before its own."""

    def options(code: str) -> dict[str, Any]:
        files = {"code.js": code, "altered.js": 'import "./code.js"; import "/js/worker.js";'}
        for name, text in files.items():
            (server.folders["/other/"] / name).write_text(text)
            server.headers = {**server.headers, f"/other/{name}": ISOLATED}
        return {"device": "wasm", "workerUrl": "/other/altered.js"}

    return options


def failure(page: Page, pack: str, options: dict[str, Any]) -> dict[str, Any]:
    """What loading the pack throws."""
    error: dict[str, Any] = page.evaluate(
        "([url, options]) => harness.caught(() => harness.load(url, options))", [f"/packs/{pack}/", options]
    )
    return error


@pytest.mark.parametrize(("code", "variant"), [("", ["relaxed-simd"]), (NO_RELAXED, [])])
def test_without_relaxed_simd(
    page: Page, packs: Path, altered: Callable[[str], dict[str, Any]], code: str, variant: list[str]
) -> None:
    (report,) = golden.check(page, "/packs/double/", packs, "double", altered(code))
    assert report["variant"] == variant


def test_without_simd(page: Page, packs: Path, altered: Callable[[str], dict[str, Any]]) -> None:
    """As before 2021: the module does not validate, and the error says why."""
    error = failure(page, "double", altered(NO_SIMD))
    assert error["code"] == "device"
    assert "this engine has no WebAssembly SIMD" in error["message"]


def test_one_processor(
    open_page: Callable[[str], Page], packs: Path, altered: Callable[[str], dict[str, Any]]
) -> None:
    page = open_page("/isolated.html")
    for report in golden.check(page, "/packs/team/", packs, "team", altered(ONE_PROCESSOR)):
        assert report["threads"] == 1
        assert report["threadsReason"] == "one for each processor, up to 4; there are 1"


def test_memory_that_is_refused(page: Page, packs: Path, altered: Callable[[str], dict[str, Any]]) -> None:
    error = failure(page, "double", altered(NO_MEMORY))
    assert error["code"] == "memory"
    assert "could not allocate memory" in error["message"]


def test_growth_that_is_refused(page: Page, packs: Path, altered: Callable[[str], dict[str, Any]]) -> None:
    """The error names the sizes that need so much; smaller ones still run."""
    options = altered(NO_GROWTH)
    made = page.evaluate(
        """async (options) => {
            const session = await harness.load("/packs/team/", options);
            const run = (n) => session.run({ x: { data: new Float32Array(n).fill(3), shape: [n] } });
            const error = await harness.caught(() => run(1e7));
            const { y } = await run(5);
            session.dispose();
            return { error, y: [...y.data] };
        }""",
        options,
    )
    assert made["error"]["code"] == "memory"
    assert "10000000" in made["error"]["message"]
    assert "no more" in made["error"]["message"]
    assert made["y"] == [6] * 5


def test_worker_that_fails(page: Page, packs: Path, altered: Callable[[str], dict[str, Any]]) -> None:
    """A run that waits for it rejects, and so does every later one."""
    errors = page.evaluate(
        """async (options) => {
            const session = await harness.load("/packs/double/", options);
            const feeds = harness.zeros(session.inputs, 3);
            const errors = [];
            for (let i = 0; i < 2; i++) errors.push(await harness.caught(() => session.run(feeds)));
            session.dispose();
            return errors;
        }""",
        altered(FAULT),
    )
    for error in errors:
        assert error["code"] == "device"
        assert "the worker failed: " in error["message"]
        assert "a fault of its own" in error["message"]
