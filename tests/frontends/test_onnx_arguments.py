"""Operands that say what to do, fed at run time: every value of them on one graph, and which are refused."""

from __future__ import annotations

import numpy as np
import pytest

from pyruntime.errors import InputError, ModelError, UnsupportedError
from pyruntime.ops.run_graph import run_graph
from tests.frontends.argument_models import MODELS, SHAPE, Feeds, fed, ints
from tests.frontends.onnx_models import imported, one_node, random, runtime, same


@pytest.mark.parametrize("name", MODELS)
def test_models(name: str) -> None:
    proto, every = MODELS[name]
    graph = imported(proto)
    for feeds in every:
        same(run_graph(graph, feeds), runtime(proto, feeds))


REFUSED: list[tuple[str, Feeds, Feeds, str]] = [
    ("ReduceSum", {"x": random(*SHAPE), "axes": ints(1)}, {"axes": ints(3)}, "must lie in -3 to 2"),
    ("ReduceMax", {"x": random(*SHAPE), "axes": ints(0, 1)}, {"axes": ints(2, -1)}, "must not repeat"),
    ("ReduceMin", {"x": random(*SHAPE), "axes": ints(0, 1, 2)}, {"axes": ints(0, 1, 1)}, "must not repeat"),
    ("CumSum", {"x": random(4), "axis": ints(0)}, {"axis": ints(1)}, "must lie in -1 to 0"),
    ("Squeeze", {"x": random(1, 3, 1), "axes": ints(0)}, {"axes": ints(1)}, "must have size 1"),
    ("Unsqueeze", {"x": random(*SHAPE), "axes": ints(0)}, {"axes": ints(-5)}, "must lie in -4 to 3"),
    (
        "Slice",
        {"x": random(*SHAPE), "s": ints(0), "e": ints(2), "a": ints(0), "k": ints(1)},
        {"k": ints(0)},
        "steps must not be 0",
    ),
    ("Range", {n: np.array(3) for n in "abc"}, {"c": np.array(0)}, "delta must not be zero"),
    (
        "Resize",
        {"x": random(1, 1, 2, 2), "r": random(0), "e": random(0), "s": ints(1, 1, 2, 3)},
        {"s": ints(1, 1, 0, 2)},
        "at least 1",
    ),
    ("Pad", {"x": random(4), "p": ints(1, 2)}, {"p": ints(-3, -2)}, "must not crop more than an axis of 4"),
]


@pytest.mark.parametrize(("op", "good", "bad", "why"), REFUSED, ids=[f"{o}-{w}" for o, _, _, w in REFUSED])
def test_values_that_mean_nothing_are_refused(op: str, good: Feeds, bad: Feeds, why: str) -> None:
    graph = imported(one_node(op, good, opset=18))
    run_graph(graph, good)
    with pytest.raises(InputError, match=why):
        run_graph(graph, good | bad)


def test_lists_whose_length_is_open_are_refused() -> None:
    proto, _ = fed(
        "ReduceSum", [{"x": random(*SHAPE), "axes": ints(0)}, {"x": random(*SHAPE), "axes": ints(0, 1)}]
    )
    with pytest.raises(UnsupportedError, match="list of axes depends on"):
        imported(proto)


def test_more_axes_than_there_are() -> None:
    with pytest.raises(ModelError, match="4 axes of a tensor of rank 3"):
        imported(one_node("ReduceSum", {"x": random(*SHAPE), "axes": ints(0, 1, 2, 0)}, opset=18))
