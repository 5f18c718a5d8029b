"""What the court counts of a page: WebAssembly's memory, in Workers too, and the most of GPU buffers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.court.engines import HERE
from tests.browser.server import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

PAGE = 65536  # bytes of a page of WebAssembly's memory
USED = """async () => {
    const memory = new WebAssembly.Memory({ initial: 3 });
    const worker = new Worker("worker.js");
    await new Promise((resolve, reject) => ((worker.onmessage = resolve), (worker.onerror = reject)));
    const device = await (await navigator.gpu.requestAdapter()).requestDevice();
    const buffer = (size) => device.createBuffer({ size, usage: GPUBufferUsage.STORAGE });
    const [first] = [buffer(1024), buffer(512)];
    first.destroy();
    first.destroy();
    buffer(768);
    return [await courtMemory(), memory.buffer.byteLength];
}"""


def test_memory_is_counted(browser: Browser, tmp_path: Path) -> None:
    worker = "globalThis.kept = new WebAssembly.Memory({ initial: 2 }); postMessage(0);"
    (tmp_path / "worker.js").write_text(worker)
    with serving() as server, browser.new_context() as context:
        server.pages = {"/page.html": "<!doctype html><title>memory</title>"}
        server.folders = {"/court/": HERE / "js", "/": tmp_path}
        context.add_init_script(path=HERE / "js" / "memory.js")
        page = context.new_page()
        page.goto(f"{server.url}/page.html")
        assert page.evaluate(USED) == [5 * PAGE + 1536, 3 * PAGE]
