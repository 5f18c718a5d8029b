"""Queues, progress, aborts, disposal, devices of the user's own, and what is left after many sessions."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

DEVICES: tuple[dict[str, Any], ...] = (
    {"device": "webgpu"},
    {"device": "webgpu", "worker": True},
    {"device": "wasm"},
    {"device": "wasm", "worker": False},
)

HEAP_GROWTH = 500_000  # bytes


@pytest.mark.parametrize("options", DEVICES)
def test_runs_queue(page: Page, packs: Path, options: dict[str, Any]) -> None:
    """Thirty runs of ever changing sizes at once, more than plans are kept."""
    sizes = page.evaluate(
        """async (options) => {
            const session = await harness.load("/packs/affine/", { ...options, entry: "stretch" });
            const feeds = (n) => ({
                x: { data: new Float32Array(n).fill(n), shape: [n] },
                factor: { data: new Float32Array([2]), shape: [] },
            });
            const sizes = Array.from({ length: 30 }, (_, i) => 1 + ((i * 7) % 23));
            const made = await Promise.all(sizes.map((n) => session.run(feeds(n))));
            session.dispose();
            return made.map(({ y }, i) => y.shape[0] === 2 * sizes[i] && y.data[0] === 2 * sizes[i]
                && y.data[2 * sizes[i] - 1] === 0);
        }""",
        options,
    )
    assert sizes == [True] * 30


@pytest.mark.parametrize("options", DEVICES)
def test_memory_of_outputs_is_taken(page: Page, packs: Path, options: dict[str, Any]) -> None:
    """Where it fits, from arrays that are empty then; the same run may be fed with them."""
    made = page.evaluate(
        """async (options) => {
            const session = await harness.load("/packs/dtypes/", options);
            const feeds = (n, more) => ({ bool_in: { data: new Uint8Array(n), shape: [n] }, ...more });
            const seen = [];
            let made = await session.run(feeds(3));
            for (let i = 0; i < 3; i++) {
                const { float32_out } = made;
                const given = { ...float32_out };
                made = await session.run(feeds(3, { float32_in: given }), { recycle: made });
                seen.push([float32_out.data.length, ...made.float32_out.data]);
            }
            const larger = await session.run(feeds(5), { recycle: made });
            const again = await session.run(feeds(5), { recycle: made });
            session.dispose();
            return { seen, sizes: [larger, again].map(({ int8_out }) => int8_out.data.length) };
        }""",
        options,
    )
    assert made == {"seen": [[0, 3, 3, 3], [0, 4, 4, 4], [0, 5, 5, 5]], "sizes": [5, 5]}


@pytest.mark.parametrize("worker", [True, False])
def test_inputs_of_all_sizes_and_a_failure_between(page: Page, packs: Path, worker: bool) -> None:
    """What carried inputs to the Worker carries smaller and larger ones, and is made anew after a failure."""
    made = page.evaluate(
        """async (worker) => {
            const options = { device: "wasm", worker, entry: "stretch" };
            const session = await harness.load("/packs/affine/", options);
            const feeds = (n) => ({
                x: { data: Float32Array.from({ length: n }, (_, i) => n + i), shape: [n] },
                factor: { data: new Float32Array([2]), shape: [] },
            });
            const right = [];
            for (const n of [5, 5, 2, 7, 1]) {
                const given = feeds(n);
                const { y } = await session.run(given);
                const last = given.x.data[n - 1];
                right.push(y.shape[0] === 2 * n && last === 2 * n - 1 && y.data[n - 1] === 2 * last);
                const stop = new AbortController();
                const late = session.run(feeds(3), { signal: stop.signal });
                stop.abort();
                await harness.caught(() => late);
            }
            session.dispose();
            return right;
        }""",
        worker,
    )
    assert made == [True] * 5


@pytest.mark.parametrize("options", DEVICES)
def test_progress(page: Page, packs: Path, options: dict[str, Any]) -> None:
    told = page.evaluate(
        """async (options) => {
            const told = [];
            const onProgress = (...all) => told.push(all);
            const session = await harness.load("/packs/affine/", { ...options, onProgress });
            session.dispose();
            return { told, bytes: session.report.bytesLoaded };
        }""",
        options,
    )
    assert [t[0] for t in told["told"]] == sorted(t[0] for t in told["told"])
    first, *others = told["told"]
    assert first[:2] == [0, told["bytes"]], "how much it will be is told before anything comes"
    assert others[-1][:2] == [told["bytes"], told["bytes"]]
    assert {t[2][:4] for t in others} == {"weig", "shad" if options["device"] == "webgpu" else "mode"}


@pytest.mark.parametrize("options", DEVICES)
def test_disposal_rejects_what_is_pending(page: Page, packs: Path, options: dict[str, Any]) -> None:
    errors = page.evaluate(
        """async (options) => {
            const session = await harness.load("/packs/affine/", options);
            const x = { data: new Float32Array(4), shape: [1, 4] };
            await session.run({ x });
            const runs = [1, 2, 3].map(() => harness.caught(() => session.run({ x })));
            session.dispose();
            return Promise.all(runs);
        }""",
        options,
    )
    assert [e["code"] for e in errors] == ["disposed"] * 3


@pytest.mark.parametrize("options", DEVICES)
def test_aborts(page: Page, packs: Path, options: dict[str, Any]) -> None:
    made = page.evaluate(
        """async (options) => {
            const early = new AbortController();
            early.abort();
            const loading = new AbortController();
            const onProgress = () => loading.abort();
            const load = (more) =>
                harness.caught(() => harness.load("/packs/affine/", { ...options, ...more }));
            const names = [
                await load({ signal: early.signal }),
                await load({ signal: loading.signal, onProgress }),
            ];
            const session = await harness.load("/packs/affine/", options);
            const x = { data: new Float32Array(4), shape: [1, 4] };
            names.push(await harness.caught(() => session.run({ x }, { signal: early.signal })));
            const running = new AbortController();
            const pending = harness.caught(() => session.run({ x }, { signal: running.signal }));
            running.abort();
            names.push(await pending);
            const { y } = await session.run({ x });
            session.dispose();
            return { names: names.map((error) => error?.name), after: y.shape };
        }""",
        options,
    )
    assert made == {"names": ["AbortError"] * 4, "after": [1, 3]}


def test_devices_of_the_user_stay_alive(page: Page, packs: Path) -> None:
    made = page.evaluate(
        """async () => {
            const gpuDevice = await (await navigator.gpu.requestAdapter()).requestDevice();
            const x = { data: new Float32Array(4), shape: [1, 4] };
            const seen = [];
            for (let i = 0; i < 2; i++) {
                const session = await harness.load("/packs/affine/", { gpuDevice });
                seen.push(session.device, (await session.run({ x })).y.shape);
                session.dispose();
            }
            const inWorker = await harness.caught(
                () => harness.load("/packs/affine/", { gpuDevice, worker: true }));
            const session = await harness.load("/packs/affine/", { gpuDevice });
            gpuDevice.destroy();
            const lost = await harness.caught(() => session.run({ x }));
            session.dispose();
            return { seen, inWorker: inWorker.code, lost: lost.code };
        }"""
    )
    assert made == {"seen": ["webgpu", [1, 3], "webgpu", [1, 3]], "inWorker": "device", "lost": "device"}


# a Worker with a device of its own takes long
@pytest.mark.parametrize(("options", "count"), list(zip(DEVICES, (200, 60, 200, 200), strict=True)))
def test_many_sessions_leave_nothing(page: Page, packs: Path, options: dict[str, Any], count: int) -> None:
    """Buffers and devices are destroyed, workers ended, and the heap does not grow."""
    protocol = page.context.new_cdp_session(page)

    def heap() -> int:
        protocol.send("HeapProfiler.collectGarbage")
        return int(protocol.send("Runtime.getHeapUsage")["usedSize"])

    cycles(page, options, 20)
    before = heap()
    assert cycles(page, options, count - 20) == {"buffers": 0, "bytes": 0, "devices": 0}
    after = heap()
    print(f"{options}: heap of {before:,} bytes after 20 sessions, {after:,} after {count}")
    assert after < before + HEAP_GROWTH
    no_workers(page)


def no_workers(page: Page) -> None:
    """Waits until none is left."""
    deadline = time.monotonic() + 10
    while page.workers and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    assert not page.workers


def cycles(page: Page, options: dict[str, Any], count: int) -> Any:
    """Loads, runs and disposes so many times; what is still alive then of what WebGPU made in the page."""
    return page.evaluate(
        """async ([options, cycles]) => {
            const alive = { buffers: 0, bytes: 0, devices: 0 };
            const count = (proto, make, key) => {
                const original = proto[make];
                proto[make] = function (...all) {
                    const made = original.apply(this, all);
                    const tally = (one) => {
                        const size = one.size ?? 0;
                        alive[key]++;
                        alive.bytes += size;
                        const destroy = one.destroy.bind(one);
                        let there = true;
                        one.destroy = () => {
                            alive[key] -= there;
                            alive.bytes -= there ? size : 0;
                            there = false;
                            destroy();
                        };
                        return one;
                    };
                    return made instanceof Promise ? made.then(tally) : tally(made);
                };
                return () => (proto[make] = original);
            };
            const restore = [
                count(GPUDevice.prototype, "createBuffer", "buffers"),
                count(GPUAdapter.prototype, "requestDevice", "devices"),
            ];
            const x = { data: new Float32Array(400), shape: [100, 4] };
            for (let i = 0; i < cycles; i++) {
                const session = await harness.load("/packs/affine/", options);
                await session.run({ x });
                session.dispose();
            }
            for (const each of restore) each();
            return alive;
        }""",
        [options, count],
    )


@pytest.mark.parametrize("options", [{"device": "wasm"}, {"device": "webgpu", "worker": True}])
def test_workers_end_where_loading_fails(page: Page, packs: Path, options: dict[str, Any]) -> None:
    """They start before it is known whether there is a pack."""
    names = page.evaluate(
        """async (options) => {
            const load = (url, more) => harness.caught(() => harness.load(url, { ...options, ...more }));
            const stop = new AbortController();
            const failing = [
                load("/missing/"),
                load("/missing/", { workerUrl: "/missing.js" }),
                load("/packs/affine/", { entry: "missing" }),
                load("/packs/affine/", { signal: stop.signal }),
            ];
            stop.abort();
            return (await Promise.all(failing)).map(({ name }) => name);
        }""",
        options,
    )
    assert names == ["MissingFileError", "MissingFileError", "InputError", "AbortError"]
    no_workers(page)


def test_disposed_sessions_hold_no_memory(page: Page, packs: Path) -> None:
    """Even where the sessions themselves are kept."""
    page.evaluate(
        """async () => {
            globalThis.kept = [];
            const x = { data: new Float32Array(4), shape: [1, 4] };
            for (let i = 0; i < 10; i++) {
                const session = await harness.load("/packs/affine/", { device: "wasm", worker: false });
                await session.run({ x });
                session.dispose();
                kept.push(session);
            }
        }"""
    )
    cdp = page.context.new_cdp_session(page)
    cdp.send("HeapProfiler.collectGarbage")
    for kind in ("Memory", "Instance", "Module"):
        prototype = cdp.send("Runtime.evaluate", {"expression": f"WebAssembly.{kind}.prototype"})
        found = cdp.send("Runtime.queryObjects", {"prototypeObjectId": prototype["result"]["objectId"]})
        fields = cdp.send("Runtime.getProperties", {"objectId": found["objects"]["objectId"]})["result"]
        count = next(f["value"]["value"] for f in fields if f["name"] == "length")
        assert count <= 1, f"{count} of WebAssembly.{kind}"  # the engine may still hold the last
