"""Wasm sessions of several threads: the same bits, errors in bounded time, and helpers that end."""

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save
from pyruntime_converter import convert

import pyruntime
from pyruntime.runtime import wasm, wasm_team

pytestmark = pytest.mark.wasm

BOUND = 20.0  # seconds; errors take milliseconds
FEED = {"x": np.arange(1000, dtype=np.float32)}


def helpers() -> list[threading.Thread]:
    """The threads of teams that are at work."""
    return [t for t in threading.enumerate() if t.name.startswith("pyruntime-")]


@pytest.fixture(autouse=True)
def no_helpers_left() -> Iterator[None]:
    before = set(helpers())
    yield
    gc.collect()
    assert set(helpers()) <= before


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Products, a softmax, a convolution and a transposition, for any number of rows."""
    random = np.random.default_rng(0)
    weights = {
        "w": random.standard_normal((96, 301)),
        "v": random.standard_normal((301, 64)),
        "f": random.standard_normal((16, 1, 3, 3)),
        "to": np.array([1, 1, -1, 64]),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Softmax", ["h"], ["s"]),
        helper.make_node("MatMul", ["s", "v"], ["t"]),
        helper.make_node("Transpose", ["t"], ["swapped"]),
        helper.make_node("MatMul", ["t", "swapped"], ["all"]),
        helper.make_node("Tanh", ["all"], ["pairs"]),
        helper.make_node("Reshape", ["t", "to"], ["image"]),
        helper.make_node("Conv", ["image", "f"], ["y"], pads=[1, 1, 1, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 96])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("pairs", "y")],
        [
            numpy_helper.from_array(a.astype(np.int64 if name == "to" else np.float32), name)
            for name, a in weights.items()
        ],
    )
    folder = tmp_path_factory.mktemp("network")
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), folder / "network.onnx")
    convert(folder / "network.onnx", folder / "network.pack", targets=("wasm",))
    return folder / "network.pack"


def test_same_bits_with_any_number_of_threads(network: Path) -> None:
    random = np.random.default_rng(1)
    feeds = [random.standard_normal((rows, 96)).astype(np.float32) for rows in (2, 1, 257, 1, 64)]
    made: dict[int, list[dict[str, Any]]] = {}
    for count in (1, 2, 3):
        with pyruntime.load(network, device="wasm", threads=count) as session:
            assert session.report.threads == count
            assert ("threads" in session.report.variant) == (count > 1)
            made[count] = [session.run({"x": x}) for x in feeds * 5]
    for count in (2, 3):
        for alone, together in zip(made[1], made[count], strict=True):
            assert {k: v.tobytes() for k, v in alone.items()} == {k: v.tobytes() for k, v in together.items()}


@pytest.mark.parametrize("count", [2, 5])
def test_helpers_do_take_parts(packs: Path, count: int) -> None:
    """The lead of this pack waits until a helper has come."""
    with pyruntime.load(packs / "team", device="wasm", threads=count) as session:
        assert len(helpers()) == count - 1
        for _ in range(20):
            assert np.array_equal(session.run(FEED)["y"], 2 * FEED["x"])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("helper_traps", "entry 'helper_traps' failed: a helper thread ended: wasm trap: wasm `unreachable`"),
        ("lead_traps", "step 0 'double' failed: wasm trap: wasm `unreachable`"),
        ("helper_hangs", "entry 'helper_hangs' failed: a helper thread ended: it does not come back"),
        ("all_trap", "step 0 'double' failed: .*wasm trap: wasm `unreachable`"),
    ],
)
def test_failures_end_the_run_and_not_the_session(packs: Path, entry: str, message: str) -> None:
    start = time.monotonic()
    with pyruntime.load(packs / "team", device="wasm", threads=3) as session:
        for _ in range(5):
            with pytest.raises(pyruntime.RunError, match=message):
                session.run(FEED, entry=entry)
            assert np.array_equal(session.run(FEED)["y"], 2 * FEED["x"])
    assert time.monotonic() - start < BOUND


def test_helpers_end_with_the_session(packs: Path) -> None:
    before = len(helpers())
    session = pyruntime.load(packs / "team", device="wasm", threads=2)
    session.run(FEED)
    assert len(helpers()) == before + 1
    session.close()
    assert len(helpers()) == before
    dropped: pyruntime.Session | None = pyruntime.load(packs / "team", device="wasm", threads=2)
    assert dropped is not None
    dropped.run(FEED)
    dropped = None
    gc.collect()
    assert len(helpers()) == before


def test_an_open_session_does_not_keep_the_interpreter(packs: Path) -> None:
    code = "import pyruntime, sys; s = pyruntime.load(sys.argv[1], 'wasm', threads=3); s.run({'x': [1.0]})"
    subprocess.run([sys.executable, "-c", code, str(packs / "team")], check=True, timeout=BOUND)


def test_sessions_side_by_side(packs: Path) -> None:
    with (
        pyruntime.load(packs / "team", device="wasm", threads=2) as one,
        pyruntime.load(packs / "team", device="wasm", threads=3) as other,
    ):
        for _ in range(10):
            assert np.array_equal(one.run(FEED)["y"], other.run(FEED)["y"])


def test_why_so_many(packs: Path, network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reported(path: Path, **options: Any) -> tuple[int, str]:
        with pyruntime.load(path, device="wasm", **options) as session:
            return session.report.threads, session.report.threads_reason

    assert reported(network, threads=3) == (3, "asked for")
    assert reported(network, threads=1) == (1, "asked for")
    assert reported(packs / "affine", threads=2) == (1, "the pack has no steps that are worth sharing")
    assert reported(network) == wasm_team.usual_threads()
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(1), raising=False)
    assert reported(network) == (1, "one for each processor, up to 4; there are 1")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(64), raising=False)
    assert wasm_team.usual_threads() == (4, "one for each processor, up to 4; there are 64")
    monkeypatch.setattr(wasm, "_has", lambda feature: feature != "threads")
    assert reported(network, threads=2) == (1, "this version of wasmtime has no shared memory")
    for count in (0, -1, 65):
        with pytest.raises(pyruntime.DeviceError, match=f"1 to 64 threads, not {count}"):
            reported(network, threads=count)


def test_a_private_memory_is_no_shared_one(damaged: Callable[..., Path]) -> None:
    """A variant that only says that it is for threads."""

    def edit(manifest: Any) -> None:
        first, last = manifest["targets"]["wasm"]["variants"]
        first.update({k: last[k] for k in ("file", "bytes", "sha256")})

    path = damaged(edit, "team")
    with pytest.raises(pyruntime.PackError, match=r"model\.simd\.wasm does not import a shared memory"):
        pyruntime.load(path, device="wasm", threads=2)
