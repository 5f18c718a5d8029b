"""Sizes with unlike names broadcast where a run's inputs let them, and are refused where they do not."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto
from onnx.helper import make_node

from pyruntime.errors import InputError, UnsupportedError
from pyruntime.ops.run_graph import run_graph
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


def test_many_sizes_that_meet() -> None:
    """As sums of features, each fed with a batch of its own name, and what is made of the sum."""
    names = [f"x{i}" for i in range(26)]
    nodes = [make_node("Sum", names, ["sum"])]
    nodes += [make_node("Add", ["x0", "sum"], ["more"]), make_node("Concat", ["more", "x3"], ["out"], axis=1)]
    shapes: dict[str, list[int | str]] = {n: [f"batch_{n}", 2] for n in names}
    proto = model(nodes, dict.fromkeys(names, random(1, 2)), ["sum", "more", "out"], shapes=shapes)
    graph = imported(proto)
    for batch in (1, 0, 3):
        feeds = {n: random(batch if i % 5 else 1, 2, seed=i) for i, n in enumerate(names)}
        feeds["x3"] = random(batch, 2)
        same(run_graph(graph, feeds), runtime(proto, feeds))
    feeds["x25"] = random(2, 2)
    with pytest.raises(InputError, match="x25 and the largest of batch_x0, batch_x1"):
        run_graph(graph, feeds)


@pytest.mark.parametrize("operator", ["Add", "Where"])
def test_joint_sizes(operator: str) -> None:
    """All that three sizes may be, also none."""
    names = ["a", "b", "c"]
    shapes: dict[str, list[int | str]] = {n: [n, 2] for n in names}
    first = {"Add": [make_node("Add", ["a", "b"], ["ab"]), make_node("Add", ["ab", "c"], ["abc"])]}
    first["Where"] = [
        make_node("Greater", ["a", "b"], ["ab"]),
        make_node("Where", ["ab", "c", "a"], ["abc"]),
    ]
    last = [make_node("Add", ["b", "c"], ["bc"]), make_node("Mul", ["bc", "abc"], ["out"])]
    proto = model([*first[operator], *last], dict.fromkeys(names, random(1, 2)), ["out"], shapes=shapes)
    graph = imported(proto)
    for sizes in itertools.product((0, 1, 4), repeat=3):
        if len(set(sizes) - {1}) < 2:
            feeds = {n: random(s, 2, seed=i) for i, (n, s) in enumerate(zip(names, sizes, strict=True))}
            same(run_graph(graph, feeds), runtime(proto, feeds))


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
