"""The story demo: its grammar, training that learns, the exported model, a pack that keeps its state."""

import io
import json
import re
from pathlib import Path

import numpy as np
import onnx.reference
import pytest
from rich.console import Console

import pyruntime
from demo_site.build import copy_shared
from demo_site.demo import DemoError
from demo_site.recurrent import Array, Parameters, initial
from demo_site.story.demo import BEGINNINGS, Story
from demo_site.story.export import to_onnx
from demo_site.story.grammar import END, stories, vocabulary, words
from demo_site.story.training import (
    SIZE,
    VOCABULARY,
    Settings,
    bits_per_character,
    known_words,
    numbers,
    shares,
    train,
    write,
)
from tests.packs.maker import compiler_missing

BRIEF = Settings(stories=300, units=32, steps=150, stretch=32)


def test_grammar() -> None:
    told = stories(2000, 1)
    assert len(set(told)) == len(told)
    assert told == stories(2000, 1)
    assert told[:5] != stories(5, 2)
    assert set("".join(told)) | {END} == set(vocabulary())
    assert set(re.findall("[A-Za-z]+", " ".join(told))) == words()
    assert not any(re.search(r"[{}]|  | \.|\ba [aeiou]", story) for story in told)
    assert max(map(len, told)) < 400


def test_beginnings_are_of_known_characters() -> None:
    assert set("".join(BEGINNINGS)) <= set(VOCABULARY)
    assert numbers(END).tolist() == [0]
    with pytest.raises(KeyError):
        numbers("ß")


def test_training() -> None:
    heard: list[float] = []
    trained = train(BRIEF, heard.append)
    assert heard == sorted(heard)
    assert heard[-1] == 1
    unseen = stories(20, 99)
    assert bits_per_character(trained, unseen) < 3.6 < bits_per_character(untrained(), unseen)
    first, second = (train(BRIEF._replace(steps=3)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def untrained(units: int = 32) -> Parameters:
    return initial(np.random.default_rng(5), SIZE, units, SIZE)


def test_bits_of_a_fair_guess() -> None:
    nothing = Parameters(*(np.zeros_like(p) for p in untrained()))
    assert bits_per_character(nothing, stories(3, 1)) == pytest.approx(np.log2(SIZE), rel=1e-5)


def test_writing() -> None:
    told = write(untrained(), 3, 40, 0.5, 1)
    assert len(told) == 3
    assert all(len(story) <= 40 and END not in story for story in told)
    assert known_words(["Mila was a brave fox."]) == 1
    assert known_words(["Mila wax a brave fax."]) == 0.6


def test_onnx_reference() -> None:
    parameters, text = untrained(), f"{END}Emma was a "
    evaluator = onnx.reference.ReferenceEvaluator(to_onnx(parameters))
    feeds = {
        "characters": numbers(text)[:, None],
        "temperature": np.float32(0.7),
        "read": np.zeros((1, 1, 32), np.float32),
    }
    (found,) = map(np.asarray, evaluator.run(["shares"], feeds))
    np.testing.assert_allclose(found, shares(parameters, text, 0.7)[-1:], atol=1e-6)


@pytest.mark.wasm
@pytest.mark.skipif(bool(compiler_missing()), reason="no C compiler for Wasm")
def test_build(tmp_path: Path) -> None:
    """The pack goes on where it stopped, and begins anew when it is told to."""
    site = tmp_path / "site"
    copy_shared(site)
    Story(BRIEF, most_bits=5).build(site, Console(file=io.StringIO(), width=110))
    page = site / "story"
    facts = json.loads((page / "facts.json").read_text())
    assert facts["vocabulary"] == VOCABULARY
    text = f"{END}Once upon"
    with pyruntime.load(page / "story.pack", device="wasm") as session:

        def read(part: str) -> Array:
            feeds = {"characters": numbers(part)[:, None], "temperature": np.float32(0.5)}
            return np.asarray(session.run(feeds)["shares"], np.float32)

        whole = read(text)
        session.state.reset()
        for part in (text[:4], text[4], text[5:]):
            last = read(part)
        np.testing.assert_allclose(last, whole, atol=1e-6)
        assert np.abs(read(text) - whole).max() > 1e-6


@pytest.mark.skipif(bool(compiler_missing()), reason="no C compiler for Wasm")
def test_a_writer_that_has_learnt_too_little(tmp_path: Path) -> None:
    copy_shared(tmp_path)
    with pytest.raises(DemoError, match=r"takes \d\.\d+ bits a character, 0\.1 are allowed"):
        Story(BRIEF._replace(steps=2), most_bits=0.1).build(tmp_path, Console(file=io.StringIO()))
