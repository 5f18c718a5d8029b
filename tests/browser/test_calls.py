"""What loading and running ask of WebGPU: pipelines in parallel, plans that are kept, one submit a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import pyruntime
from pyruntime.cli.inspection.gather import inspect
from pyruntime.pack.reader import Pack
from tests.browser.server import Server
from tests.passes.net import Net, Shapes

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

WIDTH = 64
SHAPES = (5, 5, 3, 5)  # rows of the runs, one after the other

# calls by name for the load, then for each run; bytes of buffers that there are behind it, by usage
COUNTED = """async ([url, rows, width]) => {
    const calls = [];
    const buffers = new Map();
    const restore = [];
    const count = (type, name, seen) => {
        const original = type.prototype[name];
        type.prototype[name] = function (...all) {
            const counts = calls.at(-1);
            counts[name] = (counts[name] ?? 0) + 1;
            const made = original.apply(this, all);
            seen?.(made, ...all);
            return made;
        };
        restore.push(() => (type.prototype[name] = original));
    };
    const pipelines = []; // for the load and each run, names, and how many had begun when the first was made
    count(GPUDevice, "createComputePipelineAsync", (made, { label }) => {
        const these = (pipelines[calls.length - 1] ??= { names: [] });
        these.names.push(label);
        made.then(() => (these.begun ??= these.names.length));
    });
    count(GPUDevice, "createComputePipeline");
    count(GPUDevice, "createShaderModule");
    count(GPUDevice, "createBindGroup");
    count(GPUDevice, "createBuffer", (buffer, { size, usage }) => {
        buffers.set(buffer, { size, usage });
        const { destroy } = buffer;
        buffer.destroy = () => (buffers.delete(buffer), destroy.call(buffer));
    });
    for (const name of ["submit", "writeBuffer"]) count(GPUQueue, name);
    for (const name of ["beginComputePass", "copyBufferToBuffer"]) count(GPUCommandEncoder, name);
    for (const name of ["dispatchWorkgroups", "setPipeline"]) count(GPUComputePassEncoder, name);
    count(GPUBuffer, "mapAsync");
    calls.push({});
    const session = await harness.load(url, { device: "webgpu" });
    const held = [];
    for (const n of rows) {
        calls.push({});
        await session.run({ x: { data: new Float32Array(n * width).fill(0.5), shape: [n, width] } });
        const bytes = {};
        for (const { size, usage } of buffers.values()) bytes[usage] = (bytes[usage] ?? 0) + size;
        held.push(bytes);
    }
    const { dispatches, weightsBytes } = session.report;
    session.dispose();
    for (const each of restore) each();
    const begun = pipelines.filter(Boolean);
    return { calls, pipelines: begun, held, dispatches, weightsBytes, left: buffers.size };
}"""
STORAGE, UNIFORM, STAGING = "140", "64", "9"  # usages of a session's buffers, by WebGPU's numbers


@pytest.fixture
def layers(server: Server) -> str:
    """The URL of a pack of six equal layers, with two outputs, and a state that is fed back."""
    folder = server.folders["/other/"] / "layers"
    if not folder.exists():
        folder.mkdir()
        shapes: Shapes = {"x": ["rows", WIDTH], "past": [1, WIDTH]}
        net = Net({"x": np.zeros((1, WIDTH), np.float32), "past": np.zeros((1, WIDTH), np.float32)}, shapes)
        y = net("Add", "x", "past")
        for _ in range(6):
            y = net("Tanh", net("MatMul", y, net.weight(WIDTH, WIDTH)))
        made = [y, net("Softmax", y, axis=-1), net("ReduceMax", y, np.array([0], np.int64), keepdims=1)]
        (folder / "model.onnx").write_bytes(net.proto(*made).SerializeToString())
        pyruntime.convert(
            folder / "model.onnx", folder / "pack", targets=("webgpu",), state={"past": made[-1]}
        )
    return "/other/layers/pack/"


def test_calls_of_loads_and_runs(page: Page, layers: str) -> None:
    made = page.evaluate(COUNTED, [layers, SHAPES, WIDTH])
    load, first, again, other, back = made["calls"]
    *early, late = made["pipelines"]
    for each in (*early, late):
        assert len(each["names"]) == each["begun"] > 1, "all begin before the first is made"
    names = [name for each in early for name in each["names"]]
    assert len({*names}) == len(names), "each once"
    assert len(names) <= made["dispatches"] - 4, "equal layers share theirs"
    assert load["createComputePipelineAsync"] + first["createComputePipelineAsync"] == len(names)
    assert not any("createComputePipeline" in calls for calls in made["calls"])
    run = {
        "submit": 1,
        "beginComputePass": 1,
        "dispatchWorkgroups": made["dispatches"],
        "setPipeline": made["dispatches"],
        "writeBuffer": 1,  # the input; the state stays where it is
        "copyBufferToBuffer": 2,  # the outputs
        "mapAsync": 1,
    }
    assert again == back == run, "what a shape needs is kept"
    for new in (first, other):
        assert new["createBindGroup"] == made["dispatches"]
        assert run.items() <= new.items()
    assert made["left"] == 0


def test_bytes_on_the_gpu(page: Page, server: Server, layers: str) -> None:
    """Weights and the plan's arenas, and beside them no more than words of steps and what is read back."""
    made = page.evaluate(COUNTED, [layers, [5], WIDTH])
    (held,) = made["held"]
    with Pack(server.folders["/other/"] / "layers" / "pack") as pack:
        (program,) = inspect(pack, {"rows": 5}).programs
    assert program.memory is not None
    state = 4 * WIDTH
    assert held[STORAGE] - made["weightsBytes"] - state <= 1.15 * program.memory.peak
    assert held[STAGING] <= 2 * 5 * 4 * WIDTH + 2 * 256
    assert held[UNIFORM] <= 256 * made["dispatches"]
    assert held.keys() == {STORAGE, UNIFORM, STAGING}


@pytest.mark.parametrize("given", [False, True])
def test_sessions_share_a_device(page: Page, layers: str, *, given: bool) -> None:
    """Their runs overlap; one goes on without another, and the last takes the device with it."""
    made: list[Any] = page.evaluate(
        """async ([url, width, given]) => {
            const request = GPUAdapter.prototype.requestDevice;
            const devices = [], lost = [];
            GPUAdapter.prototype.requestDevice = async function (...all) {
                const device = await request.apply(this, all);
                device.lost.then(({ reason }) => lost.push(reason));
                devices.push(device);
                return device;
            };
            const adapter = await navigator.gpu.requestAdapter();
            const gpuDevice = given ? await adapter.requestDevice() : undefined;
            const load = (each) => harness.load(each, { device: "webgpu", worker: false, gpuDevice });
            const [one, affine, two] = await Promise.all([url, "/packs/affine/", url].map(load));
            const data = Float32Array.from({ length: 3 * width }, (_, i) => Math.sin(i));
            const x = { data, shape: [3, width] };
            const four = { data: new Float32Array(8), shape: [2, 4] };
            const numbers = (outputs) => Object.values(outputs).map(({ data }) => [...data]);
            const runs = [one.run({ x }), affine.run({ x: four }), two.run({ x }), one.run({ x })];
            const [first, , second, third] = await Promise.all(runs);
            await one.dispose();
            const fourth = await two.run({ x });
            await affine.run({ x: four });
            affine.dispose();
            const early = lost.length;
            two.dispose();
            two.dispose();
            gpuDevice?.destroy();
            await devices[0].lost;
            const told = [early, lost.length, devices.length];
            // on a new one, since that has gone
            const again = await harness.load("/packs/affine/", { device: "webgpu", worker: false });
            await again.run({ x: four });
            again.dispose();
            GPUAdapter.prototype.requestDevice = request;
            return [...[first, second, third, fourth].map(numbers), [...told, devices.length]];
        }""",
        [layers, WIDTH, given],
    )
    first, second, third, fourth, devices = made
    assert devices == [0, 1, 1, 2]
    assert first == second
    assert third == fourth
    assert first != third, "each has its own state"
