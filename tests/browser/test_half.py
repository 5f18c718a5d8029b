"""Weights of float16 on a GPU in a browser, where SwiftShader has no shader-f16."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import pyruntime
from tests.browser import golden
from tests.browser.server import Server
from tests.converter.compare import assert_close
from tests.packs import half

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_results(page: Page, server: Server) -> None:
    folder = server.folders["/other/"]
    pyruntime.convert(half.write(folder / "half.onnx", "f16"), folder / "half", targets=("webgpu",))
    given = [half.feeds(rows) for rows in (1, 7)]
    made = page.evaluate(
        "([url, options, feeds]) => harness.runAll(url, options, feeds)",
        ["/other/half/", {"device": "webgpu"}, [golden.encode(f) for f in given]],
    )
    assert made["report"]["device"] == "webgpu"
    assert "shader-f16" not in made["report"]["variant"]
    for outputs, feeds in zip(made["outputs"], given, strict=True):
        for name, wanted in half.expected(feeds).items():
            found = golden.decode(outputs[name])
            assert found.dtype == np.float16
            assert_close(found.astype(np.float32), wanted, half.TOLERANCE["f16"])
