"""Sizes with unlike names broadcast where a run's inputs let them, and are refused where they do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto
from onnx.helper import make_node

from pyruntime.errors import InputError, UnsupportedError
from tests.frontends.on_devices import DEVICES, Device, on_device
from tests.frontends.onnx_models import agrees, imported, model, one_node, random, run, runtime, same

FITTING = ((2, 2), (1, 3), (3, 1), (1, 1))


def repeated() -> ModelProto:
    """Sizes that meet several times, both ways, also as the innermost axis and in a product of matrices."""
    nodes = [
        make_node("Add", ["x", "y"], ["sum"]),
        make_node("Mul", ["y", "sum"], ["product"]),
        make_node("Where", ["bit", "x", "product"], ["chosen"]),
        make_node("Transpose", ["x"], ["turned"], perm=[2, 1, 0]),
        make_node("Transpose", ["chosen"], ["chosen_turned"], perm=[2, 1, 0]),
        make_node("Sub", ["turned", "chosen_turned"], ["rest"]),
        make_node("Relu", ["rest"], ["positive"]),
        make_node("MatMul", ["x", "square"], ["left"]),
        make_node("MatMul", ["left", "chosen"], ["stack"]),
        make_node("Shape", ["y"], ["shape"]),
        make_node("Expand", ["x", "shape"], ["wide"]),
    ]
    feeds = {"x": random(2, 4, 4), "y": random(2, 4, 4), "bit": np.ones((2, 1, 1), bool)}
    shapes: dict[str, list[int | str]] = {"x": ["a", 4, 4], "y": ["b", 4, 4], "bit": ["a", 1, 1]}
    weights = {"square": random(4, 4, seed=3)}
    outputs = ["product", "positive", "stack", "wide"]
    return model(nodes, feeds, outputs, weights=weights, shapes=shapes)


@pytest.mark.parametrize("device", DEVICES)
def test_sizes_that_may_be_1(device: Device, tmp_path: Path) -> None:
    proto = repeated()
    for a, b in FITTING:
        bit = np.arange(a).reshape(a, 1, 1) % 2 == 0
        feeds = {"x": random(a, 4, 4), "y": random(b, 4, 4, seed=1), "bit": bit}
        (tmp_path / f"{a}{b}").mkdir()
        same(on_device(proto, feeds, device, tmp_path / f"{a}{b}"), runtime(proto, feeds))


def test_what_does_not_fit_is_refused() -> None:
    feeds = {"x": random(2, 4, 4), "y": random(3, 4, 4), "bit": np.ones((2, 1, 1), bool)}
    with pytest.raises(InputError, match="Add 'sum': sizes a and b must be equal, or one of them 1"):
        run(repeated(), feeds)
    assert len(imported(repeated()).constraints) == 1


def test_a_sum_of_sizes_and_one_of_them() -> None:
    nodes = [make_node("Concat", ["x", "y"], ["xy"], axis=0), make_node("Add", ["xy", "x"], ["out"])]
    shapes: dict[str, list[int | str]] = {"x": ["a", 3], "y": ["b", 3]}
    proto = model(nodes, {"x": random(1, 3), "y": random(4, 3)}, ["out"], shapes=shapes)
    for count in (1, 4):
        agrees(proto, {"x": random(1, 3), "y": random(count, 3, seed=1)})
    with pytest.raises(InputError, match="sizes a and a \\+ b must be equal"):
        run(proto, {"x": random(2, 3), "y": random(1, 3)})


def test_a_size_and_a_number() -> None:
    proto = one_node("Add", {"x": random(3, 2)}, weights={"w": random(4, 3, 2)}, shapes={"x": ["n", 2]})
    for count in (1, 3):
        agrees(proto, {"x": random(count, 2)})
    with pytest.raises(InputError, match="a size of n must be 3 or 1"):
        run(proto, {"x": random(2, 2)})


def test_sizes_that_data_decide_cannot_be_asked_for() -> None:
    nodes = [make_node("NonZero", ["x"], ["where"]), make_node("Cast", ["where"], ["f"], to=1)]
    nodes.append(make_node("Add", ["f", "x"], ["out"]))
    proto = model(nodes, {"x": random(4)}, ["out"], shapes={"x": ["n"]})
    with pytest.raises(UnsupportedError, match="same name"):
        imported(proto)
