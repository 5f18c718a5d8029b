"""TfIdfVectorizer over integers: what ONNX Runtime gives, on NumPy and on devices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, helper

from pyruntime.errors import ModelError
from tests.frontends.on_devices import DEVICES, Device, on_device
from tests.frontends.onnx_models import Array, agrees, imported, model, runtime, same

POOL: dict[str, Any] = {"pool_int64s": [2, 3, 5, 4, 5, 6, 7, 8, 6, 7], "ngram_counts": [0, 4]}
DIFFERENT = {"ngram_indexes": [0, 3, 1, 6, 4, 2, 5]}
WEIGHTS = [0.5, 2.0, 3.0, 1.0, 7.0, 4.0, 0.25]


def vectorizer(x: Array, shape: tuple[str, ...] | None = None, **attrs: Any) -> ModelProto:
    given = POOL | DIFFERENT | {"mode": "TF", "min_gram_length": 1, "max_gram_length": 2, "max_skip_count": 0}
    node = helper.make_node("TfIdfVectorizer", ["x"], ["out"], **(given | attrs))
    return model([node], {"x": x}, ["out"], shapes={"x": shape} if shape else None)


def sequence(*shape: int) -> Array:
    return np.random.default_rng(0).integers(2, 9, shape)


@pytest.mark.parametrize("shape", [(31,), (3, 17), (2, 1), (2, 2)])
@pytest.mark.parametrize("lengths", [(1, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("skips", [0, 1, 5])
def test_counts(shape: tuple[int, ...], lengths: tuple[int, int], skips: int) -> None:
    for dtype in ("int32", "int64"):
        x = sequence(*shape).astype(dtype)
        shortest, longest = lengths
        proto = vectorizer(x, min_gram_length=shortest, max_gram_length=longest, max_skip_count=skips)
        agrees(proto, {"x": x})


@pytest.mark.parametrize("mode", ["TF", "IDF", "TFIDF"])
def test_weights(mode: str) -> None:
    x = sequence(3, 17)
    given: list[dict[str, Any]] = [{}, {"weights": WEIGHTS}]
    for weights in given:
        agrees(vectorizer(x, mode=mode, max_skip_count=2, **weights), {"x": x})


def test_places_that_are_shared() -> None:
    x = sequence(3, 17)
    shared: list[dict[str, Any]] = [{"mode": "TF"}, {"mode": "IDF"}, {"mode": "TFIDF", "weights": WEIGHTS}]
    for attrs in shared:
        agrees(vectorizer(x, ngram_indexes=[0, 3, 1, 3, 4, 2, 3], **attrs), {"x": x})


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [1, 2, 19])
def test_counts_on_devices(device: Device, size: int, tmp_path: Path) -> None:
    """Also of rows that are shorter than an n-gram."""
    x = sequence(2, size)
    proto = vectorizer(x, ("n", "s"), mode="TFIDF", max_skip_count=3, weights=WEIGHTS)
    same(on_device(proto, {"x": x}, device, tmp_path), runtime(proto, {"x": x}))


@pytest.mark.parametrize(
    ("attrs", "message"),
    [
        ({"ngram_indexes": [0, 1]}, "7 n-grams, but 2 indices"),
        ({"ngram_counts": [0, 5]}, "elements in n-grams of 2"),
        ({"ngram_counts": [4, 0]}, "ngram_counts"),
        ({"min_gram_length": 3}, "n-grams of 3 to 2"),
        ({"mode": "IDF", "weights": [1.0]}, "1 weights for n-grams"),
    ],
)
def test_ngrams_that_break_the_rules(attrs: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        imported(vectorizer(sequence(5), **attrs))
