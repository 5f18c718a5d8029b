"""Opens a pack on the device asked for, or on the best one there is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from pyruntime.errors import DeviceError
from pyruntime.pack.reader import Pack
from pyruntime.pack.schema import Manifest
from pyruntime.runtime import gpu_device, wasm
from pyruntime.runtime.session import Session
from pyruntime.runtime.wasm import WasmSession
from pyruntime.runtime.webgpu import WebGpuSession

DEVICES = ("webgpu", "wasm")


def load(
    path: str | os.PathLike[str],
    device: str,
    entry: str | None,
    threads: int | None,
    gpu_device: Any = None,
) -> Session:
    """A session; see pyruntime.load."""
    with Pack(path) as pack:
        if device == "auto" and gpu_device is not None and pack.manifest.targets.webgpu is not None:
            device, reason = "webgpu", "a GPU device was given"
        elif device == "auto":
            device, reason = choose(pack.manifest)
        elif device in DEVICES:
            reason = "asked for"
        else:
            raise DeviceError(f"there is no device {device!r}; the devices are auto, {', '.join(DEVICES)}")
        if device == "webgpu":
            return WebGpuSession(pack, entry, reason, gpu_device)
        return WasmSession(pack, entry, reason, threads)


def choose(manifest: Manifest) -> tuple[str, str]:
    """The device for "auto", and why: a GPU, else Wasm, else WebGPU in software. Raises DeviceError."""
    against: list[str] = []
    for device, reason, problem in _candidates(manifest):
        if not problem:
            return device, "; ".join([reason, *against])
        against.append(problem)
    raise DeviceError(f"no device can run this pack: {'; '.join(dict.fromkeys(against))}")


def _candidates(manifest: Manifest) -> Iterator[tuple[str, str, str]]:
    """Devices in order of preference: name, what speaks for it, what rules it out."""
    gpu = "the pack has no webgpu target" if manifest.targets.webgpu is None else gpu_device.unavailable()
    if not gpu and gpu_device.adapter().software:
        yield "webgpu", "", f"{gpu_device.adapter().name} is a software device"
    else:
        yield "webgpu", "there is a GPU", gpu
    yield (
        "wasm",
        "runs everywhere",
        ("the pack has no wasm target" if manifest.targets.wasm is None else wasm.unavailable()),
    )
    if not gpu:
        yield "webgpu", "a software device, for want of another", ""
