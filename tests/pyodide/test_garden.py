"""Encoders of the model garden from Python in Node and in a page: token ids in, vectors out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyruntime
from tests.browser import golden
from tests.browser.server import Server
from tests.converter.compare import assert_close
from tests.garden.folders import Model, add_sentence
from tests.garden.reference import Bert, embeddings
from tests.garden.test_bert import feeds
from tests.garden.test_minilm import folder, pack
from tests.pyodide.hosts import Host, call
from tests.pyodide.test_sessions import Options, place, places

__all__ = ["folder", "pack", "place"]


@pytest.fixture(scope="module")
def encoder(server: Server) -> str:
    """The address of a small sentence encoder's pack."""
    other = server.folders["/other/"]
    pyruntime.convert(add_sentence(Model().write(other / "bert-folder")), other / "bert")
    return f"{server.url}/other/bert/"


@places
def test_small_encoder(place: Host, options: Options, encoder: str) -> None:
    model = Model()
    bert = Bert(model.weights(), model.sizes)
    given: list[dict[str, Any]] = [feeds(*size, seed=7) for size in [(1, 1), (3, 13), (2, 19)]]
    given.append({"input_ids": given[1]["input_ids"]})  # the others are filled in
    made = call(place, "run", url=encoder, options=options, feeds=[golden.encode(g) for g in given])
    for fed, outputs in zip(given, made["outputs"], strict=True):
        hidden = bert.run(*fed.values())
        mask = fed.get("attention_mask", np.ones_like(fed["input_ids"]))
        assert_close(golden.decode(outputs["last_hidden_state"]), hidden, 1e-5)
        assert_close(golden.decode(outputs["sentence_embedding"]), embeddings(hidden, mask), 1e-5)


@pytest.mark.shared
@pytest.mark.slow
@places
def test_minilm(place: Host, options: Options, server: Server, pack: Path, shared_models: Path) -> None:
    """Recorded embeddings of the real model; WebGPU in software computes beginnings of sentences."""
    server.folders = {"/minilm/": pack, **server.folders}
    with np.load(shared_models / "minilm_reference.npz") as data:
        ids, mask, wanted = data["input_ids"], data["attention_mask"], data["embedding"]
    if options["device"] == "webgpu":
        ids, mask, wanted = ids[:9, :20], mask[:9, :20], wanted[:9]
    given = golden.encode({"input_ids": ids, "attention_mask": mask})
    made = call(place, "run", url=f"{server.url}/minilm/", options=options, feeds=[given])
    embedding = golden.decode(made["outputs"][0]["sentence_embedding"])
    assert np.abs(embedding - wanted).max() <= 1e-4
