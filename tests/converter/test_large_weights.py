"""Weights of more bytes than every GPU binds at once: a buffer of their own, a note, and a limit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyruntime_converter.targets import webgpu

import pyruntime
from pyruntime.pack.reader import Pack
from pyruntime.runtime import gpu_device
from tests.frontends.onnx_models import runtime, same
from tests.passes.net import Net

X = np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 12)


def write(folder: Path) -> tuple[Path, Net, str]:
    """A model whose second of three weights is large."""
    net = Net({"x": X})
    y = net("MatMul", net("MatMul", "x", net.weight(12, 40)), net.weight(40, 50))
    y = net("MatMul", y, net.weight(50, 4))
    path = folder / "model.onnx"
    path.write_bytes(net.proto(y).SerializeToString())
    return path, net, y


@pytest.mark.webgpu
def test_a_buffer_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webgpu, "BINDING_LIMIT", 4096)
    path, net, y = write(tmp_path)
    report = pyruntime.convert(path, tmp_path / "pack", targets=("webgpu",))
    with Pack(tmp_path / "pack") as pack:
        assert pack.manifest.targets.webgpu is not None
        buffers = pack.manifest.targets.webgpu.buffers
    assert len(buffers) == 3
    assert max(buffers) >= 8000
    (note,) = report.notes
    assert note == f"webgpu: {max(buffers)} bytes of one tensor; all GPUs bind 4096, not all more"
    with pyruntime.load(tmp_path / "pack", device="webgpu") as session:
        same(session.run({"x": X}), runtime(net.proto(y), net.feeds), 1e-5)
    device = gpu_device.device()
    limits = {**device.limits, "max-storage-buffer-binding-size": 4096}
    monkeypatch.setattr(device, "limits", limits)
    wanted = f"a weight or state needs {max(buffers)} bytes bound at once; .* allows 4096"
    with pytest.raises(pyruntime.MemoryLimitError, match=wanted):
        pyruntime.load(tmp_path / "pack", device="webgpu")


def test_more_than_any_binding_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webgpu, "LARGEST", 4096)
    path, _, _ = write(tmp_path)
    with pytest.raises(
        pyruntime.UnsupportedError, match=r"bytes are more than the 4096 .*Convert for Wasm alone"
    ):
        pyruntime.convert(path, tmp_path / "pack", targets=("webgpu",))
    assert not (tmp_path / "pack").exists()
