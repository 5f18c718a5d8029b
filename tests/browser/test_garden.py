"""Encoders in Chromium: the tokenizer in the pack, refusals. Their vectors are in tests/hosts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pyruntime
from tests.browser.server import Server
from tests.garden.folders import Model, add_sentence

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def folder(server: Server) -> Path:
    """A small sentence encoder; its pack is served as /other/bert/."""
    made = add_sentence(Model().write(server.folders["/other/"] / "bert-folder"))
    pyruntime.convert(made, server.folders["/other/"] / "bert")
    return made


def test_assets(page: Page, server: Server, folder: Path) -> None:
    """Fetched when asked for, not before."""
    server.requests.clear()
    names, text, before = page.evaluate(
        """async () => {
          const session = await harness.load("/other/bert/", { device: "wasm" });
          const fetched = performance.getEntriesByType("resource");
          const before = fetched.filter(({ name }) => name.includes("tokenizer")).length;
          const text = new TextDecoder().decode(await session.asset("tokenizer.json"));
          session.dispose();
          return [session.assets, text, before];
        }"""
    )
    assert names == ["tokenizer.json", "tokenizer_config.json"]
    assert text == (folder / "tokenizer.json").read_text()
    assert before == 0
    assert sum("tokenizer" in path for path in server.requests) == 1


@pytest.mark.parametrize(
    ("ids", "message"),
    [([1] * 20, "19 positions"), ([1, 25], "takes integers from 0 to 24, got 25"), ([-1], "got -1")],
)
def test_refusals(page: Page, folder: Path, ids: list[int], message: str) -> None:
    """Sequences past the positions, tokens past the vocabulary."""
    error = page.evaluate(
        """(ids) => harness.caught(async () => {
          const session = await harness.load("/other/bert/", { device: "wasm" });
          await session.run({ input_ids: { data: ids, shape: [1, ids.length] } });
        })""",
        ids,
    )
    assert error["code"] == "input"
    assert message in error["message"]
