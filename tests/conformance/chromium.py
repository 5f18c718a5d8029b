"""Packs in pages of a headless Chromium: what the JavaScript runtime makes of them, in Python's types."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyruntime import errors
from pyruntime.errors import PyRuntimeError, RunError
from pyruntime.ir.dtypes import DType
from pyruntime.pack.reader import Pack
from pyruntime.pack.schema import Entry, Spec
from pyruntime.runtime.bind import as_tensor, make_output
from pyruntime.runtime.tensors import Tensor
from tests.browser import golden
from tests.browser.fixtures import built, launched
from tests.browser.server import Server, serving
from tests.conformance.engine import patience

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.conformance.packs import Run, Target

SECONDS = 60.0  # of a free processor, in which a page must have loaded and run an entry
HARNESS = Path(golden.__file__).with_name("harness.js")
PAGE = """<!doctype html><title>conformance</title><script type="module">
import * as harness from "/harness.js"; globalThis.harness = harness;
</script>"""
_STACK = ExitStack()  # what lasts as long as the browser
ASKED = """([url, options, feeds, milliseconds]) => harness.tryAll(url, options, feeds, milliseconds)"""


class PageError(Exception):
    """What a page threw that is none of the runtime's typed errors."""


@contextmanager
def in_chromium(pack: Path, target: Target) -> Iterator[Run]:
    """A page of this process's browser, in which each run loads its entry anew, as a visitor's page does.

    A run raises what the JavaScript runtime throws, as the Python class of that name; RunError where the page
    crashes or gives no answer, after which it is of no more use.
    """
    from playwright.sync_api import Error as PlaywrightError

    with Pack(pack) as opened:
        entries = {e.name: e for e in opened.manifest.entries}
    browser, server = _running()
    server.folders["/pack/"] = pack
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(server.url + "/page.html")
        page.wait_for_function("globalThis.harness")

        def run(feeds: Mapping[str, Any], entry: str) -> Mapping[str, Any]:
            options = {"device": target, "entry": entry}
            told = _fed(entries[entry], feeds)
            try:
                made = page.evaluate(ASKED, ["/pack/", options, [told], patience(SECONDS) * 1000])
            except PlaywrightError as error:
                raise RunError(f"the page: {error.message}") from error
            if "error" in made:
                raise _error(made["error"])
            (outputs,) = made["outputs"]
            return _made(entries[entry], outputs)

        yield run
    finally:
        context.close()


@functools.cache
def _running() -> tuple[Browser, Server]:
    """A browser and a server, until `close` or the end of this process."""
    chromium = shutil.which("chromium")
    assert chromium, "chromium is not on PATH"
    server = _STACK.enter_context(serving())
    server.folders = {"/js/": built(), "/harness.js": HARNESS}
    server.pages = {"/page.html": PAGE}
    return _STACK.enter_context(launched(chromium)), server


def close() -> None:
    """Ends this process's browser and server, if there are any."""
    _STACK.close()
    _running.cache_clear()


def page() -> Page:
    """The page that was opened last."""
    return _running()[0].contexts[-1].pages[-1]


def _fed(entry: Entry, feeds: Mapping[str, Any]) -> dict[str, Any]:
    """Feeds as the harness takes them; what is no tensor of the entry's is for the page to refuse."""
    specs = {s.name: s for s in entry.inputs}
    lists = {each.name: entry.inputs[each.first :] for each in entry.lists_of("inputs")}
    return {
        name: [_told(v, s) for v, s in zip(value, lists[name], strict=False)]
        if name in lists
        else _told(value, specs[name])
        for name, value in feeds.items()
    }


def _told(value: Any, spec: Spec) -> dict[str, Any]:
    if spec.encodes is DType.STRING:  # which the page makes bytes of
        told: dict[str, Any] = golden.encode({spec.name: np.asarray(value, object)})[spec.name]
        return told
    tensor = as_tensor(value, spec)
    return golden.told(tensor.dtype, tensor.shape, tensor.data)


def _made(entry: Entry, outputs: Mapping[str, Any]) -> dict[str, Any]:
    encodes = {s.name: s.encodes for s in entry.outputs}
    encodes |= {
        each.name: entry.outputs[each.first].encodes for each in entry.lists_of("outputs") if each.length
    }
    return {name: _given(value, encodes.get(name)) for name, value in outputs.items()}


def _given(value: Any, encodes: DType | None) -> Any:
    """A tensor that a page gave, a list of them, or nothing."""
    if value is None or isinstance(value, list):
        return value and [_given(v, encodes) for v in value]
    array = golden.decode(value)
    if encodes is DType.STRING:
        return array
    return make_output(Tensor(memoryview(array.tobytes()), array.shape, array.dtype.name), encodes)


def _error(told: Mapping[str, Any]) -> Exception:
    """What the page threw, as Python has it."""
    kind = getattr(errors, told["name"], None) if told["ours"] else None
    if isinstance(kind, type) and issubclass(kind, PyRuntimeError):
        return kind(told["message"])
    return PageError(f"{told['name']}: {told['message']}")
