"""Compile trained models to packs of WGSL and Wasm, and run them.

    import pyruntime

    pyruntime.convert("model.onnx", "model.pack")
    with pyruntime.load("model.pack") as session:
        outputs = session.run({"x": array})

Importing this needs nothing but Python; the converter, NumPy and the devices are imported when used.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyruntime.errors import (
    BlockingError,
    CompilerError,
    DeviceError,
    DeviceLostError,
    DisposedError,
    HashError,
    InputError,
    MemoryLimitError,
    MissingFileError,
    ModelError,
    OptionError,
    PackError,
    PackVersionError,
    PyRuntimeError,
    RunError,
    StateError,
    UnsupportedError,
)
from pyruntime.runtime.tensors import ListSpec, Tensor, TensorSpec

if TYPE_CHECKING:
    from pyruntime.pack.report import Report
    from pyruntime.runtime.session import Device, Session, SessionReport

    __version__: str

__all__ = [
    "BlockingError",
    "CompilerError",
    "DeviceError",
    "DeviceLostError",
    "DisposedError",
    "HashError",
    "InputError",
    "ListSpec",
    "MemoryLimitError",
    "MissingFileError",
    "ModelError",
    "OptionError",
    "PackError",
    "PackVersionError",
    "PyRuntimeError",
    "Report",
    "RunError",
    "Session",
    "SessionReport",
    "StateError",
    "Tensor",
    "TensorSpec",
    "UnsupportedError",
    "__version__",
    "convert",
    "load",
    "load_async",
]

runtime_url: str | None = None
"""In a web page: where the npm package's pyruntime.js is served; None for the copy in the wheel."""

_IN_PAGE = sys.platform == "emscripten"

# what converting needs beyond this package
_OPTIONAL = {"pyruntime_converter", "pyruntime_shaders", "pyruntime_wasm", "jinja2", "numpy", "onnx"}
_LAZY = {
    "Report": "pyruntime.pack.report",
    "Session": "pyruntime.runtime.session",
    "SessionReport": "pyruntime.runtime.session",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("pyruntime")
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'pyruntime' has no attribute {name!r}")


def convert(source: str | os.PathLike[str], out: str | os.PathLike[str], **options: Any) -> Report:
    """Compile the model file or folder `source` to a pack at `out`, and report what was made.

    Options are those of the converter: `targets`, `weights`, `name`, `compiler`, `assets`, `progress`,
    `state`, `state_init`, `capacity`, `symbols`, `elements`, `values`, `quantize`, `host_steps`, `tunable`;
    see `pyruntime_converter.convert`.

    Raises:
        PyRuntimeError: the converter is not installed.
        ModelError: the file is missing, damaged or inconsistent.
        UnsupportedError: a node cannot be compiled for an asked target.
        CompilerError: there is no C compiler for Wasm, or it failed.
        PackError: the pack cannot be written.
    """
    try:
        report: Report = _converter()(source, out, **options)
    except ModuleNotFoundError as error:
        if error.name not in _OPTIONAL:
            raise
        raise PyRuntimeError(
            f"converting needs {error.name}, which is not installed: pip install pyruntime[onnx,compiler]"
        ) from error
    return report


def _converter() -> Any:
    """The converter's `convert`, by entry point or, in a checkout, by name."""
    from importlib.metadata import entry_points

    for point in entry_points(group="pyruntime.converter", name="default"):
        return point.load()
    return importlib.import_module("pyruntime_converter").convert


def load(
    path: str | os.PathLike[str],
    device: Device = "auto",
    entry: str | None = None,
    threads: int | None = None,
    *,
    gpu_device: Any = None,
) -> Session:
    """Open the pack at `path` (a folder or a stored .zip) and make its programs ready to run.

    Args:
        path: the pack; its URL in a web page, where this needs an engine that can wait: see `load_async`.
        device: "webgpu", "wasm", or "auto": WebGPU where there is a GPU, else Wasm; `session.device` and
            `session.report.reason` tell what was chosen and why.
        entry: which of the pack's programs `inputs`, `outputs` and `run` mean; by default the first.
        threads: how many share a run on Wasm, 1 to 64; by default one per processor, up to four, where the
            pack has steps large enough. `session.report.threads` and `threads_reason` tell.
        gpu_device: a `wgpu.GPUDevice` of your own to run on (in a web page a GPUDevice of JavaScript), rather
            than the one that all sessions of this process share. It outlives the session; where it is lost,
            runs raise DeviceLostError.

    Raises:
        PackError: the pack is damaged (MissingFileError, HashError) or newer than this (PackVersionError).
        DeviceError: the device is not available; the message says what to install.
        MemoryLimitError: the weights do not fit the device.
        InputError: there is no such entry.
        BlockingError: a web page cannot wait here.
    """
    if _IN_PAGE:
        from pyruntime.runtime.web.session import load as load_in_page

        return load_in_page(path, device, entry, threads, gpu_device)
    from pyruntime.runtime.load import load as load_session

    return load_session(path, device, entry, threads, gpu_device)


async def load_async(
    path: str | os.PathLike[str],
    device: Device = "auto",
    entry: str | None = None,
    threads: int | None = None,
    *,
    runtime: Any = None,
    worker: bool | None = None,
    cache: bool | str = False,
    progress: Callable[[int, int], object] | None = None,
    gpu_device: Any = None,
) -> Session:
    """`load`, awaited: in a web page by the JavaScript runtime, elsewhere in a thread of its own.

    Args:
        path: as for `load`; in a web page its URL.
        device: as for `load`.
        entry: as for `load`.
        threads: as for `load`.
        gpu_device: as for `load`.
        runtime: the URL of pyruntime.js, or the imported module; by default `pyruntime.runtime_url`, or else
            the copy in the wheel. This and what follows is for web pages, without effect elsewhere.
        worker: whether to run in a Worker; by default Wasm does and WebGPU does not.
        cache: keeps files in the browser's Cache Storage, under this name if it is one.
        progress: hears how many bytes have arrived, of how many.

    Raises:
        PyRuntimeError: as `load`.
        DeviceError: also where the JavaScript runtime cannot be imported.
    """
    if _IN_PAGE:
        from pyruntime.runtime.web.session import load_async as load_in_page

        return await load_in_page(path, device, entry, threads, runtime, worker, cache, progress, gpu_device)
    import asyncio

    return await asyncio.to_thread(load, path, device, entry, threads, gpu_device=gpu_device)
