"""Threads in pages: results, why there are none, failures in bounded time, and what disposing leaves."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import golden
from tests.browser.server import ISOLATED, Server

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

WASM: dict[str, Any] = {"device": "wasm"}
BOUND = 20.0  # seconds; errors take a second at the most


@pytest.fixture
def isolated(open_page: Callable[[str], Page]) -> Page:
    """A cross-origin isolated page."""
    return open_page("/isolated.html")


def helpers(page: Page) -> int:
    """The helpers that the browser runs."""
    cdp = page.context.browser.new_browser_cdp_session()  # type: ignore[union-attr]  # there is a browser
    targets = cdp.send("Target.getTargets")["targetInfos"]
    cdp.detach()
    return sum(t["type"] == "worker" and t["title"] == "pyruntime helper" for t in targets)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_share_a_run(isolated: Page, packs: Path, threads: int) -> None:
    """The lead of this pack waits until a helper has come."""
    for report in golden.check(isolated, "/packs/team/", packs, "team", {**WASM, "threads": threads}):
        assert (report["threads"], report["threadsReason"]) == (threads, "asked for")
        assert report["variant"] == ["threads"]


def test_default(isolated: Page, packs: Path) -> None:
    processors = isolated.evaluate("navigator.hardwareConcurrency")
    report, *_ = golden.check(isolated, "/packs/team/", packs, "team", WASM)
    assert report["threads"] == min(processors, 4)
    assert report["threadsReason"] == f"one for each processor, up to 4; there are {processors}"


@pytest.mark.parametrize(
    ("path", "name", "options", "reason"),
    [
        ("/plain.html", "team", {"threads": 2}, "the page is not cross-origin isolated"),
        ("/isolated.html", "team", {"threads": 1}, "asked for"),
        ("/isolated.html", "affine", {"threads": 2}, "the pack has no steps that are worth sharing"),
        ("/isolated.html", "team", {"threads": 2, "worker": False}, "a page's own thread may not wait"),
    ],
)
def test_one_thread_and_why(
    open_page: Callable[[str], Page], packs: Path, path: str, name: str, options: dict[str, Any], reason: str
) -> None:
    for report in golden.check(open_page(path), f"/packs/{name}/", packs, name, {**WASM, **options}):
        assert report["threads"] == 1
        assert reason in report["threadsReason"]
        assert "threads" not in report["variant"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("helper_traps", "step 0 (double) failed, since a helper thread ended: unreachable"),
        ("lead_traps", "step 0 (double) trapped: unreachable"),
        ("all_trap", "step 0 (double)"),
        ("helper_hangs", "step 0 (double) failed, since a helper thread ended"),
    ],
)
def test_failures_end_the_run(isolated: Page, packs: Path, entry: str, message: str) -> None:
    start = time.monotonic()
    errors = isolated.evaluate(
        """async (entry) => {
            const session = await harness.load("/packs/team/", { device: "wasm", threads: 3, entry });
            const x = { data: new Float32Array(100), shape: [100] };
            const errors = [];
            for (let i = 0; i < 2; i++) errors.push(await harness.caught(() => session.run({ x })));
            session.dispose();
            return errors;
        }""",
        entry,
    )
    assert time.monotonic() - start < BOUND
    for error in errors:
        assert error["code"] == "run"
        assert message in error["message"]


@pytest.mark.parametrize(
    ("on_help", "expected"),
    [
        ('throw new Error("no helpers today")', "no helpers today; load with threads: 1"),
        ("postMessage({ ready: true }); close();", ""),
    ],
)
def test_helpers_that_die(isolated: Page, server: Server, packs: Path, on_help: str, expected: str) -> None:
    """One that cannot start is an error; the lead does the work of one that is gone."""
    body = f'import "/js/worker.js"; if (name !== "pyruntime") onmessage = () => {{ {on_help} }};'
    (server.folders["/other/"] / "dying.js").write_text(body)
    server.headers = {**server.headers, "/other/dying.js": ISOLATED}
    made = isolated.evaluate(
        """async () => {
            const options = { device: "wasm", threads: 2, entry: "needs_none", workerUrl: "/other/dying.js" };
            let y;
            const error = await harness.caught(async () => {
                const session = await harness.load("/packs/team/", options);
                const x = { data: new Float32Array([1, 2, 3]), shape: [3] };
                ({ y } = await session.run({ x }));
                session.dispose();
            });
            return error ?? [...y.data];
        }"""
    )
    if expected:
        assert made["code"] == "device"
        assert made["message"].startswith("a helper thread cannot be started: ")
        assert made["message"].endswith(expected)
    else:
        assert made == [2, 4, 6]


def test_memory_grows(isolated: Page, packs: Path) -> None:
    """Sizes in no order, beyond what the memory has at first."""
    right = isolated.evaluate(
        """async () => {
            const session = await harness.load("/packs/team/", { device: "wasm", threads: 3 });
            const right = [];
            for (const n of [1, 200000, 7, 1000000, 200001]) {
                const x = { data: Float32Array.from({ length: n }, (_, i) => i), shape: [n] };
                const { y } = await session.run({ x });
                right.push(y.data.length === n && y.data.every((value, i) => value === 2 * i));
            }
            session.dispose();
            return right;
        }"""
    )
    assert right == [True] * 5


@pytest.mark.parametrize(
    ("most", "threads", "reason"),
    [
        (16384, 2, "asked for"),
        (64, 2, "asked for"),
        (0, 1, "there is no shared memory of 196608 bytes here"),
    ],
)
def test_engines_that_refuse_large_memories(
    isolated: Page, server: Server, packs: Path, most: int, threads: int, reason: str
) -> None:
    """As phones do: a shared memory names the most that it will ever have."""
    body = f"""import "/js/worker.js";
        const Memory = WebAssembly.Memory;
        WebAssembly.Memory = function (options) {{
            if (options.shared && options.maximum > {most}) throw new RangeError("too much");
            return new Memory(options);
        }};"""
    (server.folders["/other/"] / "small.js").write_text(body)
    server.headers = {**server.headers, "/other/small.js": ISOLATED}
    options = {**WASM, "threads": 2, "workerUrl": "/other/small.js"}
    for report in golden.check(isolated, "/packs/team/", packs, "team", options):
        assert (report["threads"], report["threadsReason"]) == (threads, reason)
    if 0 < most < 16384:
        error = isolated.evaluate(
            """(options) => harness.caught(async () => {
                const session = await harness.load("/packs/team/", options);
                await session.run({ x: { data: new Float32Array(1e6), shape: [1e6] } });
            })""",
            options,
        )
        assert error["code"] == "memory"
        assert "load with threads: 1" in error["message"]


def test_numbers_that_cannot_be(page: Page, packs: Path) -> None:
    for threads in (0, 65, 1.5):
        error = page.evaluate(
            "(threads) => harness.caught(() => harness.load('/packs/team/', { threads }))", threads
        )
        assert (error["code"], error["message"]) == ("device", f"there can be 1 to 64 threads, not {threads}")


def test_disposing_ends_workers(isolated: Page, packs: Path) -> None:
    """The helpers, and then the Worker that led them."""
    isolated.evaluate(
        """async () => {
            globalThis.session = await harness.load("/packs/team/", { device: "wasm", threads: 3 });
            await session.run({ x: { data: new Float32Array(3), shape: [3] } });
        }"""
    )
    assert helpers(isolated) == 2
    isolated.evaluate("session.dispose()")
    end = time.monotonic() + BOUND
    while helpers(isolated) or isolated.workers:
        assert time.monotonic() < end
        isolated.wait_for_timeout(100)
