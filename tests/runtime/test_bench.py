"""Measuring: the limits' loops compute what they say, and times, counts and floors come together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyruntime
from pyruntime.pack.schema import Cost
from pyruntime.runtime.bench import loops, native
from pyruntime.runtime.bench.profile import (
    Budget,
    Limits,
    Profile,
    Samples,
    at_best,
    limits_of,
    midmean,
    steps_of,
    to_dict,
)
from pyruntime.runtime.session import Device
from tests.frontends.control_models import MODELS
from tests.state.streams import STREAMS

LIMITS = Limits(1e9, 4e9, ((1 << 10, 1e10), (1 << 20, 1e9)), "by hand")


@pytest.fixture(params=[True, False], ids=["relaxed", "simd"])
def relaxed(request: pytest.FixtureRequest) -> bool:
    chosen: bool = request.param
    return chosen


@pytest.mark.wasm
def test_the_loops(relaxed: bool) -> None:
    wasmtime = pytest.importorskip("wasmtime")
    store = wasmtime.Store()
    module = wasmtime.Module(store.engine, loops.module(4, relaxed=relaxed))
    exports = wasmtime.Instance(store, module, []).exports(store)
    rng = np.random.default_rng(0)

    chains = np.arange(4, 4 + loops.CHAINS, dtype=np.int32)
    floats = chains.view(np.float32)
    for _ in range(5):
        floats = floats * np.float32(0.75) + np.float32(1)
    assert exports["multiply_adds"](store, 5, 0.75) == pytest.approx(floats.sum(dtype=np.float64), rel=1e-6)

    sums = chains.copy()
    size = np.int8 if relaxed else np.int16  # x is splatted as bytes: 1 is 0x0101 as 16 bits
    factor = 1 if relaxed else 0x0101
    for _ in range(3):
        sums = sums + factor * sums.view(size).reshape(loops.CHAINS, -1).sum(1, dtype=np.int32)
    assert exports["dots"](store, 3, 1) == sums.sum()

    memory = np.frombuffer(rng.bytes(4 * loops.PAGE), np.uint8)
    assert {e.name for e in module.exports} == {"multiply_adds", "dots", "copy"}, "memory stays inside"
    exported = module_with_memory(loops.module(4, relaxed=relaxed))
    instance = wasmtime.Instance(store, wasmtime.Module(store.engine, exported), []).exports(store)
    whole = instance["memory"]
    whole.write(store, memory.tobytes())
    instance["copy"](store, 3 * loops.BLOCK, 2)
    half = len(memory) // 2
    expected = memory.copy()
    expected[half : half + 3 * loops.BLOCK] = memory[: 3 * loops.BLOCK]
    assert bytes(whole.read(store, 0, len(memory))) == expected.tobytes()


def module_with_memory(module: bytes) -> bytes:
    """The same module, which exports its memory, too: its export section has one entry more."""
    at = module.index(b"\x03\x0dmultiply_adds") - 2
    assert module[at] == 7
    entry = b"\x06memory\x02\x00"
    size, content = module[at + 1], module[at + 3 : at + 2 + module[at + 1]]
    return module[:at] + bytes([7, size + len(entry), 4]) + content + entry + module[at + 2 + size :]


def test_operations_of_a_round() -> None:
    assert loops.operations("multiply_adds", relaxed=True) == loops.CHAINS * 8
    assert loops.operations("dots", relaxed=True) == 2 * loops.operations("dots", relaxed=False)


def test_the_middle_half() -> None:
    assert midmean([5.0]) == 5
    assert midmean([1.0, 3.0]) == 2
    assert midmean([0.0, 4.0, 6.0, 100.0]) == 5
    assert midmean([9.0, 1.0, 2.0, 3.0, 2.5, 2.5, 50.0, 0.0]) == 2.5


def test_at_best() -> None:
    times = [4.0, 1.0, 2.0, 3.0, 9.0, 9.0, 9.0, 9.0]
    assert at_best(times) == 1.5
    assert at_best([t * 1e-5 for t in times]) == midmean([t * 1e-5 for t in times]), (
        "within the clock's ticks"
    )
    found = limits_of(Samples(multiply_adds=times, dots=[2.0], copies={8: times}), "by hand")
    assert (found.multiply_adds, found.dots, found.copies) == (9, 2, ((8, 9.0),))


def test_the_longer_of_operations_and_bytes() -> None:
    assert LIMITS.floor(1e9, 1024) == 1
    assert LIMITS.floor(4e9, 1024, integers=True) == 1
    assert LIMITS.floor(0, 1 << 20) == pytest.approx((1 << 20) / 1e9)
    assert LIMITS.bandwidth(0) == LIMITS.bandwidth(512) == 1e10
    assert LIMITS.bandwidth(1 << 30) == 1e9
    assert LIMITS.bandwidth(1 << 15) == pytest.approx(1e10**0.5 * 1e9**0.5), "half way by the logarithm"


def test_steps_beside_their_costs() -> None:
    costs = (Cost("a", "matmul", [2, "n", "*"], 1024), Cost("b", "map", 0, 1024))
    samples = Samples(
        steps={"a": [3.0, 3.0], "b": [7.0, 5.0], "jump 0": [0.5, 0.5], "strange": [2.0, 4.0]},
        calls={"a": 1, "b": 4, "jump 0": 4, "strange": 1},
        empty=[1.0, 1.0],
    )
    a, b, jump, strange = steps_of(samples, costs, {"n": 5 * 10**8}, LIMITS)
    assert (a.seconds, a.operations, a.floor, a.share, a.speed) == (2, 10**9, 1, 0.5, 5e8)
    assert b.share == pytest.approx(b.floor / 1), "of the least time"  # type: ignore[operator]  # there is one
    assert (b.seconds, b.least, b.calls, b.bytes, b.operations) == (2, 1, 4, 4096, 0)
    assert b.floor == pytest.approx(4 * 1024 / 1e10), "each call has its own caches"
    assert (jump.template, jump.seconds, jump.floor) == ("control", 0, None)
    assert (strange.template, strange.seconds, strange.share) == ("", 2, None)


def test_a_budget() -> None:
    assert Budget(2.0).spent(0, 0) == 0
    assert Budget(2.0).spent(3, 10) < 1, "a few rounds in any case"
    assert Budget(2.0).spent(50, 2.1) > 1
    assert Budget(2.0, rounds=10).spent(10, 0.1) == 1


def profiled(path: Path, feeds: Any, device: Device = "wasm", **options: Any) -> Profile:
    told: list[float] = []
    with pyruntime.load(path, device=device, **options) as session:
        before = session.run(feeds)
        if session.state.names:
            session.state.reset()
        made = native.measure(session, feeds, Budget(rounds=3), told.append)
        for name, array in session.run(feeds).items():
            np.testing.assert_array_equal(array, before[name])
    assert told == sorted(told)
    assert told[-1] == 1
    assert made.rounds == 3
    assert 0 < made.least <= made.seconds
    assert made.limits is not None
    assert made.limits.multiply_adds > 1e8
    assert all(rate > 1e6 for _, rate in made.limits.copies)
    return made


DEVICES = [
    pytest.param("wasm", marks=pytest.mark.wasm),
    pytest.param("webgpu", marks=pytest.mark.webgpu),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("name", "case", "again"), [("loop-parameter", -1, True), ("loop-while", 0, True), ("if-data", 0, False)]
)
def test_programs_with_jumps(tmp_path: Path, name: str, case: int, again: bool, device: Device) -> None:
    proto, every = MODELS[name]
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    pyruntime.convert(tmp_path / "m.onnx", tmp_path / "m.pack", targets=(device,))
    made = profiled(tmp_path / "m.pack", every[case], device)
    calls = {s.name: s.calls for s in made.steps}
    assert (max(calls.values()) > 1) is again
    assert any(s.template == "control" for s in made.steps) is (device == "wasm"), "the GPU jumps nowhere"
    assert any(s.bytes for s in made.steps)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("make", STREAMS)
def test_states(tmp_path: Path, make: Any, device: Device) -> None:
    stream = make()
    pyruntime.convert(
        stream.save(tmp_path), tmp_path / "p", state=stream.state, targets=(device,), **stream.options
    )
    profiled(tmp_path / "p", stream.steps(1)[0], device)


@pytest.mark.wasm
def test_states_of_a_size(tmp_path: Path) -> None:
    stream = next(s for s in (make() for make in STREAMS) if s.name == "cache")
    pyruntime.convert(stream.save(tmp_path), tmp_path / "p", state=stream.state, **stream.options)
    with pyruntime.load(tmp_path / "p", device="wasm") as session:
        (symbol,) = session.state.symbols
        native.grow_states(session, {symbol: 7})
        assert session.state.symbols == {symbol: 7}
        feeds = stream.steps(1)[0]
        made = native.measure(session, feeds, Budget(rounds=2), lambda _: None)
        assert made.symbols[symbol] == 7
        native.grow_states(session, {symbol: 1000})
        with pytest.raises(pyruntime.StateError, match="full"):
            native.measure(session, feeds, Budget(rounds=2), lambda _: None)


@pytest.mark.webgpu
def test_more_dispatches_than_a_query_set_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packs: Path
) -> None:
    gpu_timer = pytest.importorskip("pyruntime.runtime.bench.gpu_timer")
    monkeypatch.setattr(gpu_timer, "QUERIES", 6)
    proto, every = MODELS["loop-parameter"]
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    pyruntime.convert(tmp_path / "m.onnx", tmp_path / "m.pack", targets=("webgpu",))
    made = profiled(tmp_path / "m.pack", every[-1], "webgpu")
    assert sum(s.calls for s in made.steps) > 3


@pytest.mark.webgpu
def test_a_device_without_timestamps(packs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    feeds = {"x": np.ones((2, 4), np.float32)}
    with pyruntime.load(packs / "affine", device="webgpu") as session:
        monkeypatch.setattr(session._gpu, "timestamps", False)  # type: ignore[attr-defined]  # a WebGpuSession
        made = native.measure(session, feeds, Budget(rounds=2), lambda _: None)
    assert (made.steps, made.limits, made.share) == ((), None, None)
    assert "no timestamp queries" in made.notes[0]


@pytest.mark.wasm
def test_threads(packs: Path) -> None:
    made = profiled(packs / "team", {"x": np.ones(3, np.float32)}, threads=2)
    assert made.threads == 2


@pytest.mark.wasm
def test_as_json(packs: Path) -> None:
    made = to_dict(profiled(packs / "affine", {"x": np.ones((2, 4), np.float32)}))
    assert (made["device"], made["place"], made["symbols"]) == ("wasm", "native", {"batch": 2})
    assert [s["step"] for s in made["steps"]] == ["affine", "relu"]
    assert made["share"] is None, "packs made by hand do not tell what steps cost"
