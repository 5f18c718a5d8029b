"""The same packs on each device: results, shapes that change, entries, errors, threads, closing."""

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import pyruntime
from pyruntime import Session, TensorSpec
from tests.packs import handmade

DEVICES = [pytest.param(d, marks=getattr(pytest.mark, d)) for d in ("wasm", "webgpu")]
LACKING = {"wasm": ("pairs", "beside"), "webgpu": ("double", "team")}  # packs without the target
CASES = [
    pytest.param(device, name, marks=getattr(pytest.mark, device))
    for device in ("wasm", "webgpu")
    for name in handmade.PACKS
    if name not in LACKING[device]
]


def arrays(stored: dict[str, Any]) -> dict[str, NDArray[Any]]:
    return {k: np.array(v["data"], v["dtype"]).reshape(v["shape"]) for k, v in stored.items()}


@pytest.fixture(params=DEVICES)
def session(request: pytest.FixtureRequest, packs: Path) -> Iterator[Session]:
    """The affine pack on each device."""
    with pyruntime.load(packs / "affine", device=request.param) as opened:
        yield opened


@pytest.mark.parametrize(("device", "name"), CASES)
def test_cases(packs: Path, device: Any, name: str) -> None:
    cases = json.loads((packs / f"{name}.cases.json").read_text())
    with pyruntime.load(packs / name, device=device) as session:
        assert session.device == device
        for case in [*cases, *reversed(cases)]:
            made = session.run(arrays(case["feeds"]), entry=case["entry"])
            expected = arrays(case["outputs"])
            assert list(made) == list(expected)
            for key, value in expected.items():
                assert made[key].dtype == value.dtype
                np.testing.assert_array_equal(made[key], value, key)


def test_what_a_session_tells(session: Session) -> None:
    assert session.inputs == (TensorSpec("x", "float32", ("batch", 4)),)
    assert session.outputs == (TensorSpec("y", "float32", ("batch", 3)),)
    assert session.entries == ("main", "stretch", "trap")
    assert repr(session).endswith("Session x: float32[batch, 4] -> y: float32[batch, 3]>")
    report = session.report
    assert report.reason == "asked for"
    assert report.steps == ("affine", "relu")
    assert report.dispatches == (2 if session.device == "webgpu" else 0)
    assert report.host_steps == 0
    assert report.weights_bytes in (60, 512)
    assert report.engine
    before = report.memory_bytes
    session.run({"x": np.zeros((20_000, 4), np.float32)})
    assert session.report.memory_bytes > before


def test_outputs_are_the_users_own(session: Session) -> None:
    x = np.ones((3, 4), np.float32)
    first = session.run({"x": x})["y"]
    kept = first.copy()
    session.run({"x": -x})
    assert np.array_equal(first, kept)
    first[:] = 0
    assert np.array_equal(session.run({"x": x})["y"], kept)


def test_sizes_that_change(session: Session) -> None:
    """More sizes than plans are kept, growing and shrinking, come back with the same results."""
    random = np.random.default_rng(0)
    fed = [random.standard_normal((n, 4)).astype(np.float32) for n in [*range(1, 14), 5000, 1, 5, 7000, 13]]
    first = [session.run({"x": x})["y"] for x in fed]
    again = [session.run({"x": x})["y"] for x in reversed(fed)]
    for one, other, x in zip(first, reversed(again), fed, strict=True):
        assert one.shape == (len(x), 3)
        assert np.array_equal(one, other)


def test_entry_of_the_session(packs: Path, session: Session) -> None:
    with pyruntime.load(packs / "affine", device=session.device, entry="stretch") as other:  # type: ignore[arg-type]
        assert [s.name for s in other.inputs] == ["x", "factor"]
        assert other.outputs[0].shape == ("2 * n",)
        assert other.run({"x": [1, 2.5], "factor": 2})["y"].tolist() == [2, 5, 0, 0]
        assert other.run({"x": [[0, 0, 0, 0]]}, entry="main")["y"].shape == (1, 3)
    with pytest.raises(pyruntime.InputError, match="no entry 'strech'; did you mean 'stretch'"):
        session.run({}, entry="strech")
    with pytest.raises(pyruntime.InputError, match="the pack has 'main', 'stretch', 'trap'"):
        pyruntime.load(packs / "affine", device=session.device, entry="zzz")  # type: ignore[arg-type]


def test_bad_feeds_leave_the_session_usable(session: Session) -> None:
    for feeds in ({}, {"x": np.zeros((0, 4), np.float32)}, {"x": np.zeros((1, 4))}, {"y": 1}):
        with pytest.raises(pyruntime.InputError):
            session.run(feeds)
    assert session.run({"x": [[0, 0, 0, 0]]})["y"].shape == (1, 3)


def test_closing(packs: Path, session: Session) -> None:
    session.run({"x": [[1, 2, 3, 4]]})
    session.close()
    session.close()
    with pytest.raises(pyruntime.DisposedError, match="the session is closed") as caught:
        session.run({"x": [[1, 2, 3, 4]]})
    assert caught.value.code == "disposed"
    assert session.inputs[0].name == "x"


def test_async(packs: Path, session: Session) -> None:
    async def main() -> list[Any]:
        opened = await pyruntime.load_async(packs / "affine", device=session.device)  # type: ignore[arg-type]
        with opened:
            runs = [opened.run_async({"x": [[i, 0, 0, 0]]}) for i in range(5)]
            return list(await asyncio.gather(*runs))

    made = asyncio.run(main())
    for i, outputs in enumerate(made):
        assert np.array_equal(outputs["y"], session.run({"x": [[i, 0, 0, 0]]})["y"])


def test_runs_from_many_threads_queue(session: Session) -> None:
    fed = [np.full((n, 4), n, np.float32) for n in (1, 2, 3, 4)] * 8
    expected = [session.run({"x": x})["y"] for x in fed]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda x: session.run({"x": x})["y"], fed))
    for one, other in zip(expected, made, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("missing", ["wasm", "webgpu"])
def test_pack_without_the_target(damaged: Callable[..., Path], device: Any, missing: str) -> None:
    path = damaged(lambda m: m["targets"].pop(missing))
    if device == missing:
        with pytest.raises(pyruntime.DeviceError, match=f"was not converted for {device}"):
            pyruntime.load(path, device=device)
    else:
        pyruntime.load(path, device=device).close()


@pytest.mark.parametrize("device", DEVICES)
def test_only_files_of_the_chosen_target_are_read(damaged: Callable[..., Path], device: Any) -> None:
    path = damaged(lambda _: None)
    unused = {
        "wasm": ["model.simd.wasm", "shaders.base.wgsl"],
        "webgpu": ["model.simd.wasm", "model.relaxed.wasm"],
    }
    for name in unused[device]:
        (path / name).unlink()
    with pyruntime.load(path, device=device) as session:
        assert session.run({"x": [[0, 0, 0, 0]]})["y"].shape == (1, 3)
