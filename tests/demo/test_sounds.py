"""The sound demo: synthesis, the spectrogram, the exported model, and a build whose pack hears a stream."""

import io
import json
from pathlib import Path

import numpy as np
import onnx.reference
import pytest
from rich.console import Console

import pyruntime
from demo_site.build import copy_shared
from demo_site.demo import DemoError
from demo_site.recurrent import Array, Parameters, initial
from demo_site.sounds.demo import Sounds, playable
from demo_site.sounds.export import CHUNK, FRAMES, KEPT, to_onnx
from demo_site.sounds.hearing import (
    BANDS,
    HOP,
    WINDOW,
    Settings,
    accuracy,
    bands,
    filters,
    hear,
    shares,
    sounds_in,
    takes,
    train,
)
from demo_site.sounds.synthesis import CLASSES, QUIET, RATE, SECONDS, record, to_floats
from tests.packs.maker import compiler_missing

BRIEF = Settings(takes=8, units=24, epochs=12, batch=16)


def untrained(units: int = 24) -> Parameters:
    return initial(np.random.default_rng(5), BANDS, units, len(CLASSES))


@pytest.mark.parametrize("name", CLASSES)
def test_takes(name: str) -> None:
    """Of each class: whole chunks, never past 1, labels where it is loud, the same again for a seed."""
    for seed in range(5):
        take, again = (record(np.random.default_rng(seed), name) for _ in range(2))
        assert np.array_equal(take.samples, again.samples)
        assert len(take.samples) == len(take.labels) == round(SECONDS * RATE)
        assert len(take.samples) % CHUNK == 0
        assert np.isfinite(take.samples).all()
        assert np.abs(take.samples).max() <= 1
        wanted = {0} if name == QUIET else {0, CLASSES.index(name)}
        assert set(take.labels.tolist()) == wanted
        if name != QUIET:
            power = take.samples.astype(np.float64) ** 2
            assert power[take.labels > 0].mean() > 4 * power[take.labels == 0].mean()


def test_bands() -> None:
    """A tone is loudest in the band around it; every band hears something; frames end with the samples."""
    assert (filters().sum(axis=0) > 0).all()
    time = np.arange(RATE) / RATE
    loudest = []
    for pitch in (150, 500, 1500, 5000):
        seen = bands(np.sin(2 * np.pi * pitch * time).astype(np.float32))
        assert seen.shape == (RATE // HOP, BANDS)
        loudest.append(int(seen[10].argmax()))
        assert filters()[round(pitch * WINDOW / RATE), loudest[-1]] > 0.3
    assert loudest == sorted(loudest)
    assert np.ptp(bands(np.zeros(CHUNK, np.float32))) < 1e-6, "nothing is heard in nothing"


def test_sounds_in() -> None:
    def sure(*names: str) -> Array:
        return np.eye(len(CLASSES), dtype=np.float32)[[CLASSES.index(name) for name in names]]

    assert sounds_in(sure(*["hum"] * 3, QUIET, *["clap"] * 9, *["hum"] * 2)) == ["hum", "clap"]
    assert sounds_in(sure(*["hum"] * 3, QUIET, *["hum"] * 3)) == ["hum", "hum"]
    assert sounds_in(sure(*[QUIET] * 9)) == []


def test_training() -> None:
    heard = hear(takes(BRIEF.takes, 1))
    told: list[float] = []
    trained = train(heard, BRIEF, told.append)
    assert told == sorted(told)
    assert told[-1] == 1
    unheard = hear(takes(3, 2))
    of_frames, of_takes = accuracy(trained, unheard)
    assert of_frames > 0.75
    assert of_takes > 0.6
    assert accuracy(untrained(), unheard)[0] < 0.6
    first, second = (train(heard, BRIEF._replace(epochs=1)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_listener_without_idea_plays_nothing() -> None:
    with pytest.raises(DemoError, match="names none of 2 takes of"):
        playable(untrained(), 1, tries=2)


def test_onnx_reference() -> None:
    """Chunk after chunk, the states handed on, is what NumPy hears in the whole."""
    parameters = untrained()
    evaluator = onnx.reference.ReferenceEvaluator(to_onnx(parameters))
    samples = record(np.random.default_rng(3), "siren").samples[: 4 * CHUNK]
    seen = bands(samples)
    likely = shares(parameters, seen[:, None])
    state = {"tail": np.zeros((1, KEPT), np.float32), "heard": np.zeros((1, 1, 24), np.float32)}
    for chunk in range(4):
        feeds = {"samples": samples[None, chunk * CHUNK : (chunk + 1) * CHUNK], **state}
        found = map(np.asarray, evaluator.run(["bands", "shares", "tail.next", "heard.next"], feeds))
        columns, sure, state["tail"], state["heard"] = (each.astype(np.float32) for each in found)
        here = slice(chunk * FRAMES, (chunk + 1) * FRAMES)
        np.testing.assert_allclose(columns[:, 0], seen[here], atol=1e-4)
        np.testing.assert_allclose(sure, likely[here], atol=1e-4)


@pytest.mark.wasm
@pytest.mark.skipif(bool(compiler_missing()), reason="no C compiler for Wasm")
def test_build(tmp_path: Path) -> None:
    """What the page needs is there, and the pack hears a stream as NumPy hears the whole."""
    copy_shared(tmp_path)
    settings = BRIEF._replace(takes=16, epochs=16)
    demo = Sounds(settings, least_accuracy=0.5)
    demo.build(tmp_path, Console(file=io.StringIO(), width=110))
    page = tmp_path / "sounds"
    facts = json.loads((page / "facts.json").read_text())
    assert facts["classes"] == list(CLASSES)
    parameters = train(hear(takes(settings.takes, settings.seed)), settings)
    with pyruntime.load(page / "sounds.pack", device="wasm") as session:
        for name in CLASSES[1:]:
            samples = to_floats(np.fromfile(page / f"{name.replace(' ', '-')}.i16", "<i2"))
            likely = shares(parameters, bands(samples)[:, None])
            assert sounds_in(likely[:, 0])
            session.state.reset()
            found = [session.run({"samples": part[None]})["shares"] for part in samples.reshape(-1, CHUNK)]
            np.testing.assert_allclose(np.concatenate(found), likely, atol=1e-3)
