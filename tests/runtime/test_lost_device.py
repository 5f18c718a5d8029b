"""A GPU that is lost: sessions load their packs once more by themselves; devices of the user's own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import pyruntime
from pyruntime.runtime import gpu_device
from tests.state.fixtures import stateful
from tests.state.streams import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["stateful"]

pytestmark = pytest.mark.webgpu

X = {"x": np.arange(8, dtype=np.float32).reshape(2, 4)}


def lose() -> None:
    """The device that all sessions share is lost."""
    gpu_device.device().handle.destroy()


@pytest.fixture
def gpu() -> Iterator[Any]:
    """A device of the user's own, with the limits that every device has."""
    import wgpu

    made = wgpu.gpu.request_adapter_sync().request_device_sync()
    yield made
    made.destroy()


def test_one_loss_is_made_good(packs: Path) -> None:
    """Of two sessions on one device each loads again, and both share the new one."""
    with pyruntime.load(packs / "affine", "webgpu") as one, pyruntime.load(packs / "affine", "webgpu") as two:
        expected = one.run(X)["y"]
        lose()
        for session in (one, two, one):
            assert np.array_equal(session.run(X)["y"], expected)
            assert session.report.reloads == 1
        assert two._gpu is one._gpu is gpu_device.device()  # type: ignore[attr-defined]  # of WebGPU
        lose()
        for _ in range(2):
            with pytest.raises(pyruntime.DeviceLostError, match="the GPU was lost") as caught:
                one.run(X)
            assert caught.value.code == "device"
    with pyruntime.load(packs / "affine", "webgpu") as session:
        assert np.array_equal(session.run(X)["y"], expected)
        assert session.report.reloads == 0


def test_where_the_pack_cannot_be_loaded_again(packs: Path, tmp_path: Path) -> None:
    shutil.copytree(packs / "affine", tmp_path / "affine")
    with pyruntime.load(tmp_path / "affine", "webgpu") as session:
        shutil.rmtree(tmp_path / "affine")
        lose()
        with pytest.raises(pyruntime.DeviceLostError, match="loading again failed"):
            session.run(X)
        with pytest.raises(pyruntime.DeviceLostError):
            session.run(X)


def test_state_that_was_lost_is_told(stateful: dict[str, tuple[Stream, Path]]) -> None:
    stream, path = next(iter(stateful.values()))
    steps = stream.steps(3)
    with pyruntime.load(path, "webgpu") as session:
        first = session.run(steps[0])
        saved = session.state.save()
        second = session.run(steps[1])
        lose()
        for action in (
            lambda: session.run(steps[2]),
            lambda: session.state.get(session.state.names[0]),
            session.state.save,
            lambda: session.run(steps[2]),
        ):
            with pytest.raises(
                pyruntime.StateError, match="lost with the GPU; reset it, or load a saved one"
            ):
                action()
        session.state.load(saved)
        same(session.run(steps[1]), second)
        session.state.reset()
        same(session.run(steps[0]), first)
        assert session.report.reloads == 1


def same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert np.array_equal(found[name], array)


@pytest.mark.parametrize("device", ["webgpu", "auto"])
def test_devices_of_the_user_stay_alive(packs: Path, gpu: Any, device: Any) -> None:
    for _ in range(2):
        with (
            pyruntime.load(packs / "affine", device, gpu_device=gpu) as one,
            pyruntime.load(packs / "dtypes", device, gpu_device=gpu) as two,
        ):
            assert one.device == two.device == "webgpu"
            assert one._device is two._device is gpu  # type: ignore[attr-defined]  # of WebGPU
            assert one.run(X)["y"].shape == (2, 3)
    with pyruntime.load(packs / "affine", device, gpu_device=gpu) as session:
        gpu.destroy()
        with pytest.raises(pyruntime.DeviceLostError):
            session.run(X)
        assert session.report.reloads == 0


def test_what_is_no_device(packs: Path) -> None:
    with pytest.raises(pyruntime.DeviceError, match=r"must be a wgpu\.GPUDevice, got str"):
        pyruntime.load(packs / "affine", "webgpu", gpu_device="cuda")
