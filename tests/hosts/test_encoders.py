"""Sentence encoders give the same vectors on every host: a small one of random weights, and all-MiniLM-L6-v2.

`pytest -rP tests/hosts` shows the largest error of each host.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import pyruntime
from tests.browser.golden import Arrays
from tests.garden.folders import Model, add_sentence
from tests.garden.reference import Bert, embeddings
from tests.garden.test_bert import feeds
from tests.hosts.conftest import Run
from tests.hosts.places import HOSTS, Host
from tests.packs.maker import compiler_missing

HIDDEN, VECTORS = "last_hidden_state", "sentence_embedding"

pytestmark = [
    pytest.mark.parametrize("host", HOSTS),
    pytest.mark.skipif(bool(compiler_missing()), reason="no C compiler for Wasm"),
]


@pytest.fixture(scope="session")
def small(packs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pack of a small encoder."""
    folder = add_sentence(Model().write(tmp_path_factory.mktemp("encoder")))
    pyruntime.convert(folder, packs / "small")
    return packs / "small"


@pytest.fixture(scope="session")
def minilm_pack(packs: Path, minilm: Path) -> Path:
    """The pack of the real model, with its weights as float32."""
    report = pyruntime.convert(minilm, packs / "minilm")
    assert report.source_format == "huggingface"
    return packs / "minilm"


def mask_of(given: Arrays) -> NDArray[np.bool_]:
    """Which tokens are no padding; all of them unless it is told."""
    mask: NDArray[np.bool_] = given.get("attention_mask", np.ones_like(given["input_ids"])) != 0
    return mask


def largest_error(given: Arrays, found: Arrays, expected: Arrays) -> float:
    """Of the vectors, and of the hidden states of tokens that are no padding; NaN if there is one."""
    assert {name: found[name].shape for name in expected} == {n: e.shape for n, e in expected.items()}
    errors = {name: np.abs(found[name] - expected[name]) for name in (HIDDEN, VECTORS)}
    return float(np.max([errors[HIDDEN][mask_of(given)].max(), errors[VECTORS].max()]))


def check(run: Run, pack: Path, cases: list[tuple[Arrays, Arrays]], tolerance: float) -> None:
    """Runs a pack on pairs of feeds and expected outputs, and tells how far off it was."""
    outputs = run(pack, [given for given, _ in cases])
    errors = [
        largest_error(given, found, expected) for (given, expected), found in zip(cases, outputs, strict=True)
    ]
    print(f"largest error {np.max(errors):.1e}, allowed {tolerance:.0e}")
    assert np.max(errors) <= tolerance


def test_small_encoder(run: Run, small: Path) -> None:
    """One token, odd sizes, inputs left out, and enough sentences that threads share the work."""
    model = Model()
    bert = Bert(model.weights(), model.sizes)
    given = [feeds(*size, seed=7) for size in [(1, 1), (3, 13), (16, 19)]]
    given.append({"input_ids": given[1]["input_ids"]})
    cases: list[tuple[Arrays, Arrays]] = []
    for each in given:
        hidden = bert.run(*each.values())
        cases.append((each, {HIDDEN: hidden, VECTORS: embeddings(hidden, mask_of(each))}))
    check(run, small, cases, 1e-5)


@pytest.mark.shared
@pytest.mark.slow
def test_minilm(run: Run, host: Host, minilm_pack: Path, shared_models: Path) -> None:
    """Recorded outputs: a sentence alone, the nine short ones, then all ten where that is quick."""
    with np.load(shared_models / "minilm_reference.npz") as data:
        ids, mask = data["input_ids"], data["attention_mask"]
        hidden, vectors = data[HIDDEN], data["embedding"]
    short = np.flatnonzero(mask.sum(1) <= 20)
    assert len(short) == 9
    sizes = [(short[:1], int(mask[short[0]].sum())), (short, 20)]
    if not host.slow:
        sizes.append((np.arange(len(ids)), ids.shape[1]))
    cases: list[tuple[Arrays, Arrays]] = []
    for rows, length in sizes:
        given = {"input_ids": ids[rows, :length], "attention_mask": mask[rows, :length]}
        cases.append((given, {HIDDEN: hidden[rows, :length], VECTORS: vectors[rows]}))
    del cases[0][0]["attention_mask"]  # a sentence alone has no padding
    check(run, minilm_pack, cases, 1e-4)
