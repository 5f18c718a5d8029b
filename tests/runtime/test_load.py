"""What load chooses, and what importing pyruntime costs."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pyruntime
from pyruntime.runtime import gpu_device, wasm
from pyruntime.runtime.gpu_device import Adapter
from pyruntime.runtime.load import choose

SOFTWARE = Adapter(None, "llvmpipe", True)
HARDWARE = Adapter(None, "Some GPU", False)


@pytest.fixture
def chosen(packs: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[str, str]]:
    """chosen(adapter, wasm problem, targets): the device for "auto" in such a world, and why."""
    from pyruntime.pack.manifest import decode_manifest
    from pyruntime.pack.schema import Manifest
    from pyruntime.pack.targets import Targets

    def make(adapter: Adapter | None, problem: str = "", targets: str = "wasm webgpu") -> tuple[str, str]:
        def find() -> Adapter:
            if adapter is None:
                raise pyruntime.DeviceError("no WebGPU adapter was found")
            return adapter

        monkeypatch.setattr(gpu_device, "adapter", find)
        monkeypatch.setattr(wasm, "unavailable", lambda: problem)
        whole = decode_manifest((packs / "affine" / "pack.json").read_bytes())
        kept = {t: getattr(whole.targets, t) for t in targets.split()}
        fields: dict[str, Any] = {**vars(whole), "targets": Targets(**kept)}
        return choose(Manifest(**fields))

    return make


def test_auto(chosen: Callable[..., tuple[str, str]]) -> None:
    assert chosen(HARDWARE) == ("webgpu", "there is a GPU")
    assert chosen(SOFTWARE) == ("wasm", "runs everywhere; llvmpipe is a software device")
    assert chosen(None) == ("wasm", "runs everywhere; no WebGPU adapter was found")
    assert chosen(HARDWARE, targets="wasm") == ("wasm", "runs everywhere; the pack has no webgpu target")
    device, reason = chosen(SOFTWARE, "wasmtime is not installed")
    assert device == "webgpu"
    assert "llvmpipe is a software device; wasmtime is not installed" in reason
    assert chosen(SOFTWARE, targets="webgpu")[0] == "webgpu"


def test_auto_without_any_device(chosen: Callable[..., tuple[str, str]]) -> None:
    with pytest.raises(
        pyruntime.DeviceError, match=r"no device can run this pack: no WebGPU.*; wasmtime is not"
    ):
        chosen(None, "wasmtime is not installed")
    with pytest.raises(
        pyruntime.DeviceError, match="the pack has no webgpu target; wasmtime is not installed"
    ):
        chosen(HARDWARE, "wasmtime is not installed", "wasm")


def test_unknown_device(packs: Path) -> None:
    with pytest.raises(pyruntime.DeviceError, match="no device 'tpu'; the devices are auto, webgpu, wasm"):
        pyruntime.load(packs / "affine", device="tpu")  # type: ignore[arg-type]  # wrong on purpose


def test_no_adapter_says_what_to_install(packs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wgpu")
    import wgpu

    def fail(**_: object) -> None:
        raise RuntimeError("Request adapter failed")

    gpu_device.adapter.cache_clear()
    gpu_device._shared.cache_clear()
    monkeypatch.setattr(wgpu.gpu, "request_adapter_sync", fail)
    with pytest.raises(pyruntime.DeviceError, match="mesa-vulkan-drivers"):
        pyruntime.load(packs / "affine", device="webgpu")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(pyruntime.DeviceError, match=r"pip install pyruntime\[webgpu\]"):
        pyruntime.load(packs / "affine", device="webgpu")


def test_missing_pack(tmp_path: Path) -> None:
    with pytest.raises(pyruntime.MissingFileError, match="there is no pack at"):
        pyruntime.load(tmp_path / "none.pack")


IMPORT = """
import sys
before = len(sys.modules)
import pyruntime
print(len(sys.modules) - before)
print(*sorted({m.partition(".")[0] for m in sys.modules} & {"numpy", "onnx", "wgpu", "wasmtime", "jinja2"}))
assert all(hasattr(pyruntime, name) for name in pyruntime.__all__ if name not in ("Session", "SessionReport"))
"""


def test_importing_is_light() -> None:
    made = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True)
    count, modules = made.stdout.split("\n")[:2]
    assert 1 < int(count) < 40
    assert modules == ""


def test_public_names() -> None:
    for name in pyruntime.__all__:
        assert getattr(pyruntime, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        pyruntime.nonsense  # noqa: B018


def test_convert_without_the_converter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'onnx'", name="onnx")

    monkeypatch.setattr(pyruntime, "_converter", lambda: missing)
    with pytest.raises(pyruntime.PyRuntimeError, match=r"pip install pyruntime\[onnx,compiler\]"):
        pyruntime.convert("m.onnx", tmp_path / "m.pack")


WITHOUT_NUMPY = """
import sys
sys.modules["numpy"] = None
import pyruntime
with pyruntime.load(sys.argv[1], device="wasm") as session:
    made = session.run({"x": [[1.0, 2, 3], [4, 5, 6]]})["y"]
print(type(made).__name__, made.shape, made.dtype, made.data.cast("d").tolist())
"""


@pytest.mark.wasm
def test_without_numpy(packs: Path) -> None:
    """A pack whose weights need no conversion runs on Wasm without NumPy."""
    command = [sys.executable, "-c", WITHOUT_NUMPY, str(packs / "double")]
    made = subprocess.run(command, capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "Tensor (2, 3) float64 [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]"
