"""Operators that sort, against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper

from tests.frontends.onnx_models import Array, agrees, imported, model, one_node, random, run

node = helper.make_node


@pytest.mark.parametrize("axis", [0, 1, 2, -2])
@pytest.mark.parametrize("largest", [0, 1])
def test_top_k(axis: int, largest: int) -> None:
    x = np.round(random(3, 5, 4) * 2)
    nodes = [node("TopK", ["x", "k"], ["values", "at"], axis=axis, largest=largest)]
    for k in (0, 1, 3):
        weights = {"k": np.array([k])}
        agrees(model(nodes, {"x": x}, ["values", "at"], weights=weights), {"x": x})


def test_number_is_fed() -> None:
    feeds: dict[str, Array] = {"x": random(2, 9), "k": np.array([4])}
    proto = model(
        [node("TopK", ["x", "k"], ["values", "at"])], feeds, ["values", "at"], shapes={"x": ["b", "n"]}
    )
    for b, n, k in ((2, 9, 4), (1, 3, 3), (5, 7, 0)):
        agrees(proto, {"x": random(b, n), "k": np.array([k])})


def test_number_depends_on_data() -> None:
    """As many as there are above zero."""
    nodes = [
        node("Greater", ["x", "zero"], ["above"]),
        node("Cast", ["above"], ["ones"], to=7),
        node("ReduceSum", ["ones"], ["k"]),
        node("Reshape", ["k", "one"], ["k1"]),
        node("TopK", ["x", "k1"], ["values", "at"], axis=0),
    ]
    weights = {"zero": np.zeros(1, np.float32), "one": np.array([1])}
    for seed in range(3):
        x = random(11, seed=seed)
        agrees(model(nodes, {"x": x}, ["values", "at"], weights=weights), {"x": x})


def test_first_opsets_state_the_number() -> None:
    x = random(3, 7)
    agrees(model([node("TopK", ["x"], ["values", "at"], k=3)], {"x": x}, ["values", "at"], opset=9), {"x": x})


@pytest.mark.parametrize("by_value", [0, 1])
@pytest.mark.parametrize("axis", [None, 0, -1])
def test_unique(by_value: int, axis: int | None) -> None:
    outputs = ["found", "first", "which", "often"]
    attrs: dict[str, Any] = {"sorted": by_value} | ({} if axis is None else {"axis": axis})
    for seed in range(3):
        x = np.random.default_rng(seed).integers(0, 2, (4, 3, 2)).astype(np.float32)
        agrees(model([node("Unique", ["x"], outputs, **attrs)], {"x": x}, outputs), {"x": x})


def test_few_large_numbers_are_data() -> None:
    """Symbols would come no further than what sorts them, and would be sizes that no tensor can have."""
    x = np.array([2**62 + 1, -(2**63), 7, 2**62 + 1, -1])
    proto = one_node("Unique", {"x": x})
    assert not imported(proto).symbols()
    agrees(proto, {"x": x})


def test_nan_is_like_another() -> None:
    x = np.array([2, np.nan, 1, np.nan, -0.0, 0.0], np.float32)
    names = ["values", "first", "which", "often"]
    found = run(model([node("Unique", ["x"], names)], {"x": x}, names), {"x": x})
    np.testing.assert_array_equal(found["which"], [2, 3, 1, 3, 0, 0])
    np.testing.assert_array_equal(found["often"], [2, 1, 1, 2])


def test_nan_is_greater_than_all_else() -> None:
    x = np.array([1, np.nan, np.inf, -np.inf, np.nan], np.float32)
    for largest, expected in ((1, [1, 4, 2]), (0, [3, 0, 2])):
        nodes = [node("TopK", ["x", "k"], ["values", "at"], largest=largest)]
        proto = model(nodes, {"x": x}, ["at"], weights={"k": np.array([3])})
        np.testing.assert_array_equal(run(proto, {"x": x})["at"], expected)
