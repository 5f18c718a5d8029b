"""Downloads that break off: the same call goes on, and so does the next visit, damaged leftovers apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import pyruntime
from tests.browser.server import Server
from tests.passes.net import Net

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

CHUNK = 4 << 20
SIZES = 1500, 1700  # 10.2 MB: three chunks
LOAD = """async ([options, breaks]) => {
    let [before, read] = [0, 0];
    const onProgress = (loaded, _, file) => {
        if (file.endsWith(".safetensors")) read += loaded - before;
        before = loaded;
        if (read !== breaks[0]) return;
        breaks.shift();
        void fetch("/break");
    };
    const session = await harness.load("/other/large.pack/", { ...options, onProgress });
    const [{ name, shape }] = session.inputs;
    const feeds = { [name]: { data: new Float32Array(shape[1]).fill(1), shape } };
    const [{ data }] = Object.values(await session.run(feeds));
    const { bytesLoaded, bytesCached } = session.report;
    session.dispose();
    return { loaded: bytesLoaded, cached: bytesCached, first: data[0] };
}"""


@pytest.fixture
def weights(server: Server) -> str:
    """The address of the weights of /other/large.pack/."""
    folder = server.folders["/other/"]
    if not (folder / "large.pack").exists():
        net = Net({"x": np.ones((1, SIZES[0]), np.float32)}, {"x": [1, SIZES[0]]})
        model = folder / "large.onnx"
        model.write_bytes(net.proto(net("MatMul", "x", net.weight(*SIZES))).SerializeToString())
        pyruntime.convert(model, folder / "large.pack", targets=("wasm",))
    (file,) = (folder / "large.pack").glob("*.safetensors")
    path = f"/other/large.pack/{file.name}"
    server.headers[path] = {"Cache-Control": "no-store"}  # the browser's own cache takes up downloads, too
    server.begins.clear()
    return path


def expected() -> float:
    net = Net({}, {})
    name = net.weight(*SIZES)
    return float(net.weights[name][:, 0].sum())


def begins(server: Server, weights: str) -> list[int]:
    return [begin for path, begin in server.begins if path == weights]


@pytest.mark.parametrize("options", [{"worker": True}, {"worker": False}])
def test_a_connection_that_breaks(
    page: Page, server: Server, packs: Path, weights: str, options: dict[str, Any]
) -> None:
    server.breaks[weights] = [CHUNK + 100_000, CHUNK + 100_000]
    made = page.evaluate(LOAD, [{"device": "wasm", **options}, [CHUNK + 100_000, 2 * CHUNK + 100_000]])
    assert made["first"] == pytest.approx(expected(), rel=1e-4)
    assert begins(server, weights) == [CHUNK, 2 * CHUNK]


@pytest.mark.parametrize("damaged", [False, True])
def test_a_visit_after_one_that_broke(
    page: Page, server: Server, packs: Path, weights: str, damaged: bool
) -> None:
    """What the first has left is taken up, as far as its hashes are right."""
    options = {"device": "wasm", "cache": f"resumed-{damaged}"}
    server.breaks[weights] = [2 * CHUNK + 100_000, 0, 0]
    error = page.evaluate(f"(all) => harness.caught(() => ({LOAD})(all))", [options, [2 * CHUNK + 100_000]])
    assert error["code"] == "pack-invalid", error
    assert "the connection broke" in error["message"]
    page.reload()
    page.wait_for_function("globalThis.harness")
    if damaged:
        page.evaluate(
            """async (name) => {
                const cache = await caches.open(name);
                for (const key of await cache.keys())
                    if (key.url.includes(".safetensors")) await cache.put(key, new Response("nonsense"));
            }""",
            options["cache"],
        )
    server.begins.clear()
    made = page.evaluate(LOAD, [options, []])
    assert made["first"] == pytest.approx(expected(), rel=1e-4)
    assert made["cached"] // CHUNK == (0 if damaged else 2)
    assert begins(server, weights) == ([] if damaged else [2 * CHUNK])
    assert page.evaluate(LOAD, [options, []])["cached"] == made["loaded"]
