"""WebGPU devices: the one that all sessions of this process share, and users' own."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import tempfile
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyruntime.errors import DeviceError, DeviceLostError, MemoryLimitError, RunError
from pyruntime.pack.sections import resolve
from pyruntime.runtime.gpu_names import NAMELESS, Identity, identify

# WebGPU's names of the features that variants may require or use -> wgpu-py's
FEATURES = {"shader-f16": "shader-f16", "subgroups": "subgroup"}
# limits that are asked for as high as the adapter goes
_RAISED = (
    "max-buffer-size",
    "max-storage-buffer-binding-size",
    "max-storage-buffers-per-shader-stage",
    "max-compute-workgroup-storage-size",
    "max-compute-invocations-per-workgroup",
    "max-compute-workgroup-size-x",
)
# what needs no feature of a device, but a compiler that knows it; wgpu-py does not tell what naga does
_LANGUAGE = {
    "packed_4x8_integer_dot_product": "@compute @workgroup_size(1) fn main() { _ = dot4I8Packed(1u, 1u); }"
}
_TIMESTAMPS = "timestamp-query"  # for `pyruntime bench`; no variant requires it
_INSTALL = (
    "install a GPU driver, or on Debian libvulkan1 and mesa-vulkan-drivers, which bring a software device"
)


@dataclass(frozen=True)
class Adapter:
    """A GPU that wgpu found."""

    handle: Any
    name: str
    software: bool
    identity: Identity = NAMELESS


def unavailable() -> str:
    """Why there is no WebGPU here; empty when there is."""
    try:
        adapter()
    except DeviceError as error:
        return str(error)
    return ""


@functools.cache
def adapter() -> Adapter:
    """The fastest adapter. Raises DeviceError where there is none, saying what to install."""
    if importlib.util.find_spec("wgpu") is None:
        raise DeviceError("wgpu is not installed: pip install pyruntime[webgpu]")
    with _runtime_folder():
        try:
            import wgpu

            handle = wgpu.gpu.request_adapter_sync(power_preference="high-performance")
        except (RuntimeError, OSError, ImportError) as error:
            raise DeviceError(f"no WebGPU adapter was found ({error}); {_INSTALL}") from None
    return _described(handle)


def _described(handle: Any) -> Adapter:
    info = handle.info
    name = " ".join(filter(None, (info.get("device"), info.get("backend_type")))) or "WebGPU adapter"
    return Adapter(handle, name, info.get("adapter_type") == "CPU", identify(info))


@contextmanager
def _runtime_folder() -> Iterator[None]:
    """Drivers look for a window system, and complain where this variable is not set, as in containers."""
    if os.name != "posix" or "XDG_RUNTIME_DIR" in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="pyruntime-") as folder:
        os.environ["XDG_RUNTIME_DIR"] = folder
        try:
            yield
        finally:
            del os.environ["XDG_RUNTIME_DIR"]


class Device:
    """A wgpu device with the features and limits that variants of packs may use.

    Attributes:
        handle: the `wgpu.GPUDevice`.
        adapter: what it is a device of.
        own: whether it is this process's shared one, and not a user's.
        lost: whether something failed because the device was lost.
    """

    def __init__(self, handle: Any, found: Adapter, *, own: bool) -> None:
        self.handle, self.adapter, self.own, self.lost = handle, found, own, False
        self.limits: Mapping[str, int] = handle.limits
        self.features = features_of(handle)
        self.timestamps = _TIMESTAMPS in handle.features

    @classmethod
    def of_user(cls, handle: Any) -> Device:
        """A device that the user made. Raises DeviceError for something else."""
        try:
            return cls(handle, _described(handle.adapter), own=False)
        except AttributeError:
            raise DeviceError(f"gpu_device must be a wgpu.GPUDevice, got {type(handle).__name__}") from None

    def meets(self, features: Sequence[str], limits: Mapping[str, int]) -> bool:
        """Whether a variant that requires these can run."""
        return self.features.issuperset(features) and all(
            self.limits.get(_native(k), 0) >= v for k, v in limits.items()
        )

    def offered(self, features: Sequence[str]) -> tuple[str, ...]:
        """Which of these features it has."""
        return tuple(f for f in features if f in self.features)

    def check_buffer(self, size: int, what: str) -> None:
        """Raise MemoryLimitError for a buffer that the device does not allow."""
        if size > self.limits["max-buffer-size"]:
            raise MemoryLimitError(
                f"{what} need a buffer of {size} bytes; {self.adapter.name} allows"
                f" {self.limits['max-buffer-size']}"
            )

    def check_binding(self, size: int, what: str) -> None:
        """Raise MemoryLimitError for a binding that the device does not allow."""
        if size > self.limits["max-storage-buffer-binding-size"]:
            raise MemoryLimitError(
                f"{what} needs {size} bytes bound at once; {self.adapter.name} allows"
                f" {self.limits['max-storage-buffer-binding-size']}"
            )

    @contextmanager
    def guarded(self, what: str) -> Iterator[None]:
        """What wgpu raises becomes MemoryLimitError, DeviceLostError, else RunError."""
        import wgpu

        try:
            yield
        except wgpu.GPUOutOfMemoryError as error:
            raise MemoryLimitError(f"{what}: the device is out of memory: {error}") from None
        except (wgpu.GPUError, wgpu.GPUPipelineError, RuntimeError) as error:
            if re.search(r"\blost\b", str(error)):
                self.lost = True
                raise DeviceLostError(f"{what}: the GPU was lost; load the pack again: {error}") from None
            raise RunError(f"{what}: {error}") from None


def device() -> Device:
    """The device that all sessions share; a new one where that was lost. Raises DeviceError."""
    if _shared().lost:
        _shared.cache_clear()
        adapter.cache_clear()
    return _shared()


@functools.cache
def _shared() -> Device:
    found = adapter()
    offered = found.handle
    features = [f for f in (*sorted(FEATURES.values()), _TIMESTAMPS) if f in offered.features]
    limits = {k: v for k in _RAISED if (v := offered.limits.get(k))}
    try:
        handle = offered.request_device_sync(
            label="pyruntime", required_features=features, required_limits=limits
        )
    except RuntimeError as error:
        raise DeviceError(f"{found.name} gave no device: {error}") from None
    return Device(handle, found, own=True)


def features_of(handle: Any) -> frozenset[str]:
    """The features, by WebGPU's names, that shaders of packs find in a `wgpu.GPUDevice`."""
    import wgpu

    found = {f for f, native in FEATURES.items() if native in handle.features}
    for feature, code in _LANGUAGE.items():
        try:
            handle.create_shader_module(code=code)
        except wgpu.GPUError:
            continue
        found.add(feature)
    return frozenset(found)


def shader_text(code: str, features: Container[str]) -> str:
    """A pack's shader as wgpu compiles it on a device with these features.

    naga refuses the directive without which browsers refuse what it enables.
    """
    return resolve(code, features).replace("enable subgroups;\n", "")


def _native(limit: str) -> str:
    """wgpu-py's name of a WebGPU limit: maxBufferSize -> max-buffer-size."""
    return re.sub(r"(?<=[a-z])([A-Z])", lambda m: f"-{m[1].lower()}", limit)
