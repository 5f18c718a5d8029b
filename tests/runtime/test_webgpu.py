"""Sessions on WebGPU: 32-bit integers, shaders that are refused, limits, variants, lost devices."""

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyruntime
from pyruntime.runtime import gpu_device
from pyruntime.runtime.webgpu import WebGpuSession
from tests.packs.handmade import DTYPES

pytestmark = pytest.mark.webgpu


def load(path: Path, **options: Any) -> pyruntime.Session:
    return pyruntime.load(path, device="webgpu", **options)


def variant(manifest: Any) -> Any:
    return manifest["targets"]["webgpu"]["variants"][0]


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [("int64", 2**31, "int32"), ("int64", -(2**31) - 1, "int32"), ("uint64", 2**32, "uint32")],
)
def test_wide_integers_are_checked(packs: Path, name: str, value: int, stored: str) -> None:
    with load(packs / "dtypes") as session:
        feeds = {f"{d}_in": np.zeros(3, d) for d in DTYPES}
        feeds[f"{name}_in"][1] = value
        with pytest.raises(
            pyruntime.InputError, match=rf"'{name}_in': {value} at element 1 does not fit {stored}"
        ):
            session.run(feeds)
        feeds[f"{name}_in"][1] = 7
        made = session.run(feeds)[f"{name}_out"]
        assert made.tolist() == [1, 8, 1]


def test_shader_that_is_refused(damaged: Callable[..., Path]) -> None:
    code = b"this is not WGSL"

    def edit(m: Any) -> None:
        variant(m).update(bytes=len(code), sha256=hashlib.sha256(code).hexdigest())
        for shader in variant(m)["shaders"]:
            shader.update(offset=0, bytes=len(code))

    path = damaged(edit)
    (path / "shaders.base.wgsl").write_bytes(code)
    with pytest.raises(pyruntime.RunError, match="shader 'affine'"):
        load(path)


def test_shader_that_is_not_text(damaged: Callable[..., Path]) -> None:
    code = b"\xff" * 10

    def edit(m: Any) -> None:
        variant(m).update(bytes=10, sha256=hashlib.sha256(code).hexdigest())
        for shader in variant(m)["shaders"]:
            shader.update(offset=0, bytes=10)

    path = damaged(edit)
    (path / "shaders.base.wgsl").write_bytes(code)
    with pytest.raises(pyruntime.PackError, match="shader 'affine'"):
        load(path)


def test_bindings_that_do_not_match_the_shader(damaged: Callable[..., Path]) -> None:
    path = damaged(lambda m: variant(m)["shaders"][1].update(bindings=["read"]))
    with pytest.raises(pyruntime.RunError, match="shader 'relu'"):
        load(path)


def test_buffers_past_the_limit(damaged: Callable[..., Path]) -> None:
    limit = gpu_device.device().limits["max-buffer-size"]

    def arena(m: Any) -> None:
        variant(m)["entries"][0]["arenas"][0] = ["batch", 16, "*", limit // 256 * 256, "+"]

    with load(damaged(arena)) as session:
        with pytest.raises(pyruntime.MemoryLimitError, match=f"allows {limit}"):
            session.run({"x": np.zeros((100, 4), np.float32)})
        assert session.run({"x": [1], "factor": 2}, entry="stretch")["y"].tolist() == [2, 0]
    with pytest.raises(pyruntime.MemoryLimitError, match=f"a weight or state needs {2**40} bytes"):
        load(damaged(lambda m: m["targets"]["webgpu"].update(buffers=[2**40])))


def test_binding_past_the_limit(damaged: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    with load(damaged(lambda _: None)) as session:
        device = gpu_device.device()
        monkeypatch.setattr(device, "limits", {**device.limits, "max-storage-buffer-binding-size": 100})
        with pytest.raises(pyruntime.MemoryLimitError, match="step 'affine' needs 160 bytes bound at once"):
            session.run({"x": np.zeros((10, 4), np.float32)})
        monkeypatch.undo()
        assert session.run({"x": np.zeros((10, 4), np.float32)})["y"].shape == (10, 3)


def test_variants(damaged: Callable[..., Path]) -> None:
    def edit(m: Any) -> None:
        base = variant(m)
        m["targets"]["webgpu"]["variants"] = [
            {**base, "requires": ["teleport"]},
            {**base, "limits": {"maxStorageBuffersPerShaderStage": 10_000}},
            {**base, "limits": {"maxTeleports": 1}},
            base,
        ]

    with load(damaged(edit)) as session:
        assert isinstance(session, WebGpuSession)
        assert session._number == 3


def test_device_meets_features_and_limits() -> None:
    device = gpu_device.device()
    assert device.meets((), {})
    assert device.meets(
        sorted(device.features), {"maxStorageBuffersPerShaderStage": 8, "maxBufferSize": 1 << 20}
    )
    assert not device.meets(("teleport",), {})
    assert not device.meets((), {"maxTeleports": 1})


def test_plans_are_bounded(packs: Path) -> None:
    with load(packs / "affine") as session:
        assert isinstance(session, WebGpuSession)
        for n in range(20, 0, -1):
            session.run({"x": np.zeros((n, 4), np.float32)})
        assert len(session._plans) == 8


def test_what_a_shape_needs_is_kept(packs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run submits once; of a shape that was there before nothing is made."""
    from wgpu.backends.wgpu_native import GPUDevice, GPUQueue

    calls: Counter[str] = Counter()

    def count(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def counted(*given: Any, **named: Any) -> Any:
            calls[name] += 1
            return original(*given, **named)

        monkeypatch.setattr(owner, name, counted)

    for name in ("create_buffer", "create_bind_group", "create_shader_module", "create_compute_pipeline"):
        count(GPUDevice, name)
    for name in ("submit", "write_buffer"):
        count(GPUQueue, name)
    with load(packs / "affine") as session:
        for rows, new in ((5, True), (5, False), (3, True), (5, False)):
            calls.clear()
            session.run({"x": np.zeros((rows, 4), np.float32)})
            assert calls["submit"] == 2  # wgpu submits nothing once more before it maps
            assert ("create_bind_group" in calls) == new
            assert new or calls == {"submit": 2, "write_buffer": 1}


def test_what_wgpu_raises_becomes_typed() -> None:
    import wgpu

    cases = [
        (wgpu.GPUOutOfMemoryError("Out of memory"), pyruntime.MemoryLimitError),
        (wgpu.GPUValidationError("Parent device is lost"), pyruntime.DeviceLostError),
        (wgpu.GPUValidationError("bad binding"), pyruntime.RunError),
        (RuntimeError("could not map"), pyruntime.RunError),
    ]
    for raised, expected in cases:
        device = gpu_device.device()
        with pytest.raises(expected, match="a run"), device.guarded("a run"):
            raise raised
        assert device.lost == (expected is pyruntime.DeviceLostError)
        assert (gpu_device.device() is device) != device.lost
