"""From text to vectors: the pack's own tokenizer.json, read by the `tokenizers` package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pyruntime
from tests.converter.compare import assert_close
from tests.garden.folders import WORDS, Model, add_sentence
from tests.garden.reference import Bert, embeddings

pytestmark = pytest.mark.wasm

SENTENCES = {
    "A small boat crosses the harbour at dawn.": "a small boat cross ##es the harbour at dawn .",
    "Bread, from the oven!": "bread , from the oven !",
    "   WebGPU  crossings \u2014 caf\u00e9 ": "web ##gpu cross ##ing ##s [UNK] [UNK]",
    "": "",
}


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text")
    pyruntime.convert(add_sentence(Model().write(folder / "model")), folder / "pack", targets=("wasm",))
    return folder / "pack"


def test_sentences(pack: Path) -> None:
    """One batch, padded by the mask that the tokenizer gives."""
    tokenizers = pytest.importorskip("tokenizers")
    with pyruntime.load(pack, device="wasm") as session:
        tokenizer = tokenizers.Tokenizer.from_str(session.assets["tokenizer.json"].decode())
        tokenizer.enable_padding()
        encoded = tokenizer.encode_batch(list(SENTENCES))
        feeds = {
            "input_ids": np.array([e.ids for e in encoded]),
            "attention_mask": np.array([e.attention_mask for e in encoded]),
        }
        outputs = session.run(feeds)
    ids = [[WORDS.index(w) for w in f"[CLS] {text} [SEP]".split()] for text in SENTENCES.values()]
    for row, mask, wanted in zip(*feeds.values(), ids, strict=True):
        assert row[mask == 1].tolist() == wanted
    model = Model()
    hidden = Bert(model.weights(), model.sizes).run(*feeds.values())
    assert_close(outputs["sentence_embedding"], embeddings(hidden, feeds["attention_mask"]), 1e-5)
