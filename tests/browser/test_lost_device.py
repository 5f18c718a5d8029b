"""A GPU that is lost: the session loads its pack once more by itself, and says what went with the GPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.golden import encode
from tests.browser.server import Server
from tests.state.streams import Stream

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

# loses each device that is made in its thread when it is told to, and says so when it is done
LOSS = """
const request = GPUAdapter.prototype.requestDevice;
let device;
GPUAdapter.prototype.requestDevice = async function (...all) {
    return (device = await request.apply(this, all));
};
const channel = new BroadcastChannel("loss");
channel.onmessage = async ({ data }) => {
    if (data !== "lose") return;
    device.destroy();
    await device.lost;
    channel.postMessage("lost");
};
"""
WORKER = 'import "./loss.js"; import { serve } from "/js/pyruntime.js"; serve();'
LOSE = """() => {
    globalThis.lose = () => new Promise((resolve) => {
        const channel = new BroadcastChannel("loss");
        channel.onmessage = () => resolve(channel.close());
        channel.postMessage("lose");
    });
}"""


@pytest.fixture(params=[False, True], ids=["page", "worker"])
def lossy(request: pytest.FixtureRequest, page: Page, server: Server) -> tuple[Page, dict[str, Any]]:
    """A page with a function `lose`, and options for `load`, so that it is their GPU that is lost."""
    other = server.folders["/other/"]
    (other / "loss.js").write_text(LOSS)
    (other / "loss-worker.js").write_text(WORKER)
    page.evaluate(LOSE)
    if request.param:
        return page, {"device": "webgpu", "worker": True, "workerUrl": "/other/loss-worker.js"}
    page.add_script_tag(url="/other/loss.js", type="module")
    return page, {"device": "webgpu"}


RUNS = """async (options) => {
    const session = await harness.load("/packs/affine/", options);
    const feeds = (rows) => ({ x: { data: new Float32Array(4 * rows).fill(rows), shape: [rows, 4] } });
    const expected = [...(await session.run(feeds(2))).y.data];
    const reloads = [session.report.reloads];
    await lose();
    const made = await Promise.all([session.run(feeds(2)), session.run(feeds(3)), session.run(feeds(2))]);
    reloads.push(session.report.reloads);
    await lose();
    const errors = [];
    for (let i = 0; i < 2; i++) errors.push(await harness.caught(() => session.run(feeds(2))));
    session.dispose();
    errors.push(await harness.caught(() => session.run(feeds(2))));
    return { right: made.map(({ y }) => y.shape[0] !== 2 || `${y.data}` === `${expected}`), reloads, errors };
}"""


def test_one_loss_is_made_good(lossy: tuple[Page, dict[str, Any]], server: Server, packs: Path) -> None:
    page, options = lossy
    server.requests.clear()
    made = page.evaluate(RUNS, {**options, "cache": "lost"})
    assert made["right"] == [True] * 3
    assert made["reloads"] == [0, 1]
    assert [(e["name"], e["code"]) for e in made["errors"]] == [
        ("DeviceLostError", "device"),
        ("DeviceLostError", "device"),
        ("DisposedError", "disposed"),
    ]
    assert all(e["right"] for e in made["errors"])
    weights = [path for path in server.requests if path.endswith(".safetensors")]
    assert len(weights) == 1, "the second time they come from the cache"


def test_a_loss_while_a_run_is_under_way(lossy: tuple[Page, dict[str, Any]], packs: Path) -> None:
    page, options = lossy
    rows = page.evaluate(
        """async (options) => {
            const session = await harness.load("/packs/affine/", options);
            const x = { data: new Float32Array(40000), shape: [10000, 4] };
            const running = [session.run({ x }), session.run({ x })];
            await lose();
            const made = await Promise.all(running);
            const { reloads } = session.report;
            session.dispose();
            return [...made.map(({ y }) => y.shape[0]), reloads <= 1];
        }""",
        options,
    )
    assert rows == [10000, 10000, True]


def test_where_the_pack_cannot_be_loaded_again(lossy: tuple[Page, dict[str, Any]], packs: Path) -> None:
    page, options = lossy
    page.evaluate(
        """async (options) => {
            globalThis.session = await harness.load("/packs/affine/", options);
            await lose();
        }""",
        options,
    )
    page.context.set_offline(True)
    x = "{ x: { data: new Float32Array(4), shape: [1, 4] } }"
    errors = [page.evaluate(f"harness.caught(() => session.run({x}))") for _ in range(2)]
    page.context.set_offline(False)
    errors.append(page.evaluate(f"harness.caught(() => session.run({x}))"))
    assert [e["name"] for e in errors] == ["DeviceLostError"] * 3
    assert "loading again failed" in errors[0]["message"]
    page.evaluate("session.dispose()")


STATES = """async ([url, options, feeds]) => {
    const session = await harness.load(url, options);
    const run = (at) => session.run(harness.decodeAll(feeds[at]));
    const text = (outputs) => JSON.stringify(harness.encodeAll(outputs));
    const first = text(await run(0));
    const saved = await session.state.save();
    const second = text(await run(1));
    await lose();
    const [name] = session.state.names;
    const errors = [];
    const { state } = session;
    for (const action of [() => run(2), () => state.get(name), () => run(2), () => state.save()])
        errors.push(await harness.caught(action));
    const { reloads } = session.report;
    await session.state.load(saved);
    const right = [text(await run(1)) === second];
    await session.state.reset();
    right.push(text(await run(0)) === first);
    session.dispose();
    return { errors, right, reloads };
}"""


def test_state_that_was_lost_is_told(
    lossy: tuple[Page, dict[str, Any]], server: Server, stateful: dict[str, tuple[Stream, Path]]
) -> None:
    page, options = lossy
    stream, path = next(iter(stateful.values()))
    before = server.folders
    server.folders = {"/state/": path.parent, **before}
    try:
        feeds = [encode(each) for each in stream.steps(3)]
        made = page.evaluate(STATES, [f"/state/{stream.name}/", options, feeds])
    finally:
        server.folders = before
    assert [e["code"] for e in made["errors"]] == ["state"] * 4
    assert "lost with the GPU" in made["errors"][0]["message"]
    assert made["right"] == [True, True]
    assert made["reloads"] == 1
