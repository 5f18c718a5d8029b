"""Imports the JavaScript runtime, and makes its errors Python's.

The runtime is what `runtime` or `pyruntime.runtime_url` names, else the copy in the wheel. That copy lies in
Pyodide's own file system, which has no URL, so pages get it as Blobs and Node as a data: URL.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import js
from pyodide.code import run_js
from pyodide.ffi import JsException, JsProxy, can_run_sync, to_js

import pyruntime
from pyruntime.errors import BlockingError, DeviceError, PyRuntimeError
from pyruntime.runtime.web import carried

_SERVE_IT = (
    "serve pyruntime.js and worker.js of the npm package pyruntime, and give the URL of the first"
    " as pyruntime.load_async(..., runtime=URL) or pyruntime.runtime_url = URL"
)


class Runtime(NamedTuple):
    """The imported module, and where its worker.js lies if that is not beside it."""

    module: Any
    worker_url: str | None


def options(**fields: Any) -> Any:
    """A JavaScript object of the fields that are not None."""
    given = {k: v for k, v in fields.items() if v is not None}
    return to_js(given, dict_converter=js.Object.fromEntries)


async def find_runtime(runtime: str | JsProxy | None) -> Runtime:
    """What the user names by URL or hands over as a module, else the wheel's copy. Raises DeviceError."""
    runtime = runtime if runtime is not None else pyruntime.runtime_url
    if runtime is None:
        found = await _carried()
    elif isinstance(runtime, str):
        found = Runtime(await _import(runtime), None)
    else:
        found = Runtime(runtime, None)
    if not hasattr(found.module, "load"):
        raise DeviceError(f"{runtime!r} is not the JavaScript runtime of pyruntime: {_SERVE_IT}")
    return found


_kept: list[Runtime] = []  # the wheel's, once it is imported: Blobs have a new URL each time


async def _carried() -> Runtime:
    if not _kept:
        main, worker = (carried.CARRIED / name for name in carried.NAMES)
        if not main.exists():
            raise DeviceError(f"this wheel was built without the JavaScript runtime: {_SERVE_IT}")
        if hasattr(js, "process") and not hasattr(js, "document"):
            found = Runtime(
                await _import(f"data:text/javascript,{js.encodeURIComponent(main.read_text())}"), None
            )
        else:
            found = Runtime(await _import(_blob(main)), _blob(worker))
        _kept.append(found)
    return _kept[0]


def _blob(file: Path) -> str:
    parts = to_js([file.read_text()])
    blob = js.Blob.new(parts, options(type="text/javascript"))
    url: str = js.URL.createObjectURL(blob)
    return url


async def _import(url: str) -> Any:
    """The module at a URL; a relative one counts from the page."""
    try:
        return await run_js(
            "(url) => import(new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href).href)"
        )(url)
    except JsException as error:
        raise DeviceError(
            f"the JavaScript runtime cannot be imported from {url[:100]}: {error.message}. If the page's"
            f" Content-Security-Policy forbids it, {_SERVE_IT}; where it allows no eval either, import the"
            " module in JavaScript and hand it over as runtime"
        ) from error


@functools.cache
def _classes() -> dict[tuple[str, str], type[PyRuntimeError]]:
    """All errors by code and name, which the JavaScript ones share."""
    found, waiting = {}, [PyRuntimeError]
    while waiting:
        each = waiting.pop()
        found[each.code, each.__name__] = each
        waiting += each.__subclasses__()
    return found


@contextmanager
def same_errors() -> Iterator[None]:
    """Raises the JavaScript runtime's errors as Python's of the same code and text; leaves others alone."""
    try:
        yield
    except JsException as error:
        own = _classes().get((getattr(error, "code", None), error.name))  # type: ignore[arg-type]  # not ours: None
        if own is None:
            raise
        raise own(error.message) from error


async def settle(start: Callable[[Any], Awaitable[Any]]) -> Any:
    """What the promise that `start` makes of an AbortSignal gives; cancelling this aborts it."""
    abort = js.AbortController.new()
    try:
        with same_errors():
            return await start(abort.signal)
    except asyncio.CancelledError:
        abort.abort()
        raise


def check_blocking(instead: str) -> None:
    """Raise BlockingError, naming what to await, unless Python can wait for JavaScript here."""
    if not can_run_sync():
        raise BlockingError(f"Python cannot wait for JavaScript here: await {instead} instead")
