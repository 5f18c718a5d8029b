"""Sequences in pages: arrays of tensors, fed and given, on both devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import pyruntime
from tests.browser import golden
from tests.browser.server import Server
from tests.frontends.onnx_models import random, runtime
from tests.frontends.test_onnx_lists import lists, same, sums

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def encoded(value: Any) -> Any:
    return [encoded(v) for v in value] if isinstance(value, list) else golden.encode({"x": value})["x"]


def decoded(value: Any) -> Any:
    return [decoded(v) for v in value] if isinstance(value, list) else golden.decode(value)


@pytest.fixture(scope="module")
def pack(server: Server) -> str:
    """The URL of a pack that adds sequences of three."""
    folder = server.folders["/other/"]
    (folder / "sums.onnx").write_bytes(sums().SerializeToString())
    pyruntime.convert(folder / "sums.onnx", folder / "sums", elements={"x": 3, "y": 3})
    return "/other/sums/"


@pytest.mark.parametrize("device", ["webgpu", "wasm"])
@pytest.mark.parametrize("sizes", [(6, 1, 4), (2, 2, 2), (0, 3, 0)])
def test_lists(page: Page, pack: str, device: str, sizes: tuple[int, ...]) -> None:
    feeds: dict[str, Any] = {"x": lists(*sizes), "t": random(2), "y": lists(*sizes, seed=9)}
    told = {name: encoded(value) for name, value in feeds.items()}
    made = page.evaluate(
        "([url, options, feeds]) => harness.runAll(url, options, feeds)", [pack, {"device": device}, [told]]
    )
    (outputs,) = made["outputs"]
    same({name: decoded(value) for name, value in outputs.items()}, runtime(sums(), feeds))
