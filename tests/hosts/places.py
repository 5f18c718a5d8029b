"""Where packs run: natively, in pages of Chromium, and in Python in Node and in a page, all by one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

import pyruntime
from tests.browser import golden
from tests.browser.golden import Arrays
from tests.pyodide import hosts

if TYPE_CHECKING:
    from playwright.sync_api import Page

PlaceName = Literal["native", "page", "isolated_page", "python_node", "python_page"]


@dataclass(frozen=True)
class Host:
    """A place, which is the name of a fixture of conftest.py, and how packs are loaded there."""

    place: PlaceName
    device: Literal["webgpu", "wasm"]
    threads: int | None = 1
    """None leaves it to the place, which must then come to one."""
    worker: bool | None = None
    """False for the page's own thread."""

    @property
    def options(self) -> dict[str, Any]:
        """For `load`, which has the same names in both languages."""
        named = {"device": self.device, "threads": self.threads, "worker": self.worker}
        return {name: value for name, value in named.items() if value is not None}

    @property
    def slow(self) -> bool:
        """Chromium computes WebGPU in software: a long sequence takes it a minute."""
        return self.device == "webgpu" and self.place != "native"


def _host(name: str, *marks: pytest.MarkDecorator, **options: Any) -> Any:
    return pytest.param(Host(**options), id=name, marks=marks)


HOSTS = [
    _host("native webgpu", pytest.mark.webgpu, place="native", device="webgpu"),
    _host("native wasm", pytest.mark.wasm, place="native", device="wasm"),
    _host("native wasm, 2 threads", pytest.mark.wasm, place="native", device="wasm", threads=2),
    _host("page webgpu", pytest.mark.browser, place="page", device="webgpu"),
    _host("page wasm", pytest.mark.browser, place="page", device="wasm", threads=None),
    _host("page wasm, no worker", pytest.mark.browser, place="page", device="wasm", worker=False),
    _host("page wasm, 2 threads", pytest.mark.browser, place="isolated_page", device="wasm", threads=2),
    _host("pyodide wasm, node", place="python_node", device="wasm", threads=None),
    _host("pyodide webgpu", pytest.mark.browser, place="python_page", device="webgpu"),
    _host("pyodide wasm", pytest.mark.browser, place="python_page", device="wasm"),
    _host("pyodide wasm, 2 threads", pytest.mark.browser, place="python_page", device="wasm", threads=2),
]


@dataclass(frozen=True)
class Made:
    """What a session told of itself and gave, one item of outputs for each of the feeds."""

    device: str
    threads: int
    outputs: list[Arrays]


Place = Callable[[Path, Mapping[str, Any], Sequence[Arrays]], Made]
"""Loads a pack with these options and runs it once for each of the feeds."""


def native(pack: Path, options: Mapping[str, Any], feeds: Sequence[Arrays]) -> Made:
    """The place that is this process."""
    with pyruntime.load(pack, **options) as session:
        outputs = [session.run(each) for each in feeds]
        return Made(session.device, session.report.threads, outputs)


def in_page(page: Page, url: Callable[[Path], str]) -> Place:
    """The JavaScript runtime in a page that has the harness; `url` tells where it finds a pack."""

    def run(pack: Path, options: Mapping[str, Any], feeds: Sequence[Arrays]) -> Made:
        made = page.evaluate(
            "([url, options, feeds]) => harness.runAll(url, options, feeds)",
            [url(pack), options, [golden.encode(each) for each in feeds]],
        )
        return Made(made["report"]["device"], made["report"]["threads"], _decoded(made["outputs"]))

    return run


def in_python(host: hosts.Host, url: Callable[[Path], str]) -> Place:
    """Python in a Pyodide that runs; `url` tells where it finds a pack."""

    def run(pack: Path, options: Mapping[str, Any], feeds: Sequence[Arrays]) -> Made:
        encoded = [golden.encode(each) for each in feeds]
        made = hosts.call(host, "run", url=url(pack), options=options, feeds=encoded)
        return Made(made["device"], made["threads"], _decoded(made["outputs"]))

    return run


def _decoded(outputs: Sequence[Mapping[str, Any]]) -> list[Arrays]:
    return [{name: golden.decode(tensor) for name, tensor in each.items()} for each in outputs]
