"""Encoders of the model garden in Chromium, on both devices: vectors, the tokenizer in the pack, refusals."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

import pyruntime
from tests.browser import golden
from tests.browser.server import Server
from tests.converter.compare import assert_close
from tests.garden.folders import Model, add_sentence
from tests.garden.reference import Bert, embeddings
from tests.garden.test_bert import feeds
from tests.garden.test_minilm import PACKAGE

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

OPTIONS: list[dict[str, Any]] = [
    {"device": "webgpu"},
    {"device": "wasm"},
    {"device": "wasm", "worker": False},
]
RUN = "([url, options, feeds]) => harness.runAll(url, options, feeds)"


@pytest.fixture(scope="module")
def folder(server: Server) -> Path:
    """A small sentence encoder; its pack is served as /other/bert/."""
    made = add_sentence(Model().write(server.folders["/other/"] / "bert-folder"))
    pyruntime.convert(made, server.folders["/other/"] / "bert")
    return made


@pytest.mark.parametrize("options", OPTIONS)
def test_small_encoder(page: Page, folder: Path, options: dict[str, Any]) -> None:
    model = Model()
    bert = Bert(model.weights(), model.sizes)
    given = [feeds(*size, seed=7) for size in [(1, 1), (3, 13), (2, 19)]]
    given.append({"input_ids": given[1]["input_ids"]})
    made = page.evaluate(RUN, ["/other/bert/", options, [golden.encode(g) for g in given]])
    assert made["report"]["device"] == options["device"]
    assert made["report"]["hostSteps"] == 0
    for fed, outputs in zip(given, made["outputs"], strict=True):
        hidden = bert.run(*fed.values())
        mask = fed.get("attention_mask", np.ones_like(fed["input_ids"]))
        assert_close(golden.decode(outputs["last_hidden_state"]), hidden, 1e-5)
        assert_close(golden.decode(outputs["sentence_embedding"]), embeddings(hidden, mask), 1e-5)


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


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS[:2])
def test_minilm(page: Page, server: Server, shared_models: Path, options: dict[str, Any]) -> None:
    """Recorded embeddings of the real model; WebGPU in software computes the short sentences alone."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        pytest.skip(f"{PACKAGE} is not installed")
    pack = server.folders["/other/"] / "minilm"
    if not pack.exists():
        pyruntime.convert(Path(spec.origin).parent / "model", pack)
    with np.load(shared_models / "minilm_reference.npz") as data:
        ids, mask, wanted = data["input_ids"], data["attention_mask"], data["embedding"]
    given: list[dict[str, NDArray[Any]]] = [{"input_ids": ids[:9, :20], "attention_mask": mask[:9, :20]}]
    rows = [slice(0, 9)]
    if options["device"] == "wasm":
        given.append({"input_ids": ids, "attention_mask": mask})
        rows.append(slice(0, 10))
    made = page.evaluate(RUN, ["/other/minilm/", options, [golden.encode(g) for g in given]])
    for outputs, some in zip(made["outputs"], rows, strict=True):
        assert np.abs(golden.decode(outputs["sentence_embedding"]) - wanted[some]).max() <= 1e-4
