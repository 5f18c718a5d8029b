"""Operands that say what to do, fed at run time: every value of them on one graph, and which are refused."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, helper

from pyruntime.errors import InputError, ModelError, UnsupportedError
from pyruntime.ops.run_graph import run_graph
from tests.frontends.argument_models import MODELS, SHAPE, Feeds, fed, ints
from tests.frontends.onnx_models import Array, agrees, imported, model, one_node, random, run, runtime, same


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


def cut(join: str, rows: int | str = 7, *, quantised: bool = False) -> ModelProto:
    """A table is cut to as many rows as x has, and joined with it."""
    table = np.arange(-14, 14, dtype=np.int8).reshape(7, 4)
    weights: dict[str, Array] = {"first": ints(0), "second": ints(1)}
    feeds: dict[str, Array] = {"x": random(3, 4)}
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Slice", ["shape", "first", "second"], ["length"]),
        helper.make_node("Slice", ["table", "first", "length"], ["p"]),
        helper.make_node("Less", ["x", "p"], ["less"]),
        helper.make_node(join, ["less", "p", "x"] if join == "Where" else ["p", "x"], ["y"]),
    ]
    if quantised:
        weights |= {"levels": table, "scale": np.array(0.25, np.float32)}
        nodes.insert(0, helper.make_node("DequantizeLinear", ["levels", "scale"], ["table"]))
    else:
        feeds["table"] = table.astype(np.float32)
    shapes: dict[str, list[int | str]] = {"x": ["n", 4], "table": [rows, 4]}
    shapes = {name: shapes[name] for name in feeds}
    return model(nodes, feeds, ["y"], weights=weights, shapes=shapes)


@pytest.mark.parametrize("quantised", [False, True])
@pytest.mark.parametrize("join", ["Mul", "Equal", "Where"])
def test_tables_cut_to_a_length_are_as_long(join: str, quantised: bool) -> None:
    proto = cut(join, quantised=quantised)
    table = {} if quantised else {"table": random(7, 4)}
    for rows in (1, 3, 7):
        agrees(proto, {"x": random(rows, 4), **table})
    with pytest.raises(InputError, match=r"n must be at most 7, or it does not fit min\(7, n\)"):
        run(proto, {"x": random(8, 4), **table})


def test_tables_that_may_have_one_row() -> None:
    """Then a longer sequence has a meaning, and what is cut another shape."""
    proto = cut("Mul", "rows")
    for n, rows in ((3, 3), (3, 5), (3, 1), (1, 4)):
        agrees(proto, {"x": random(n, 4), "table": random(rows, 4)})
    with pytest.raises(InputError, match="must be equal, or one of them 1"):
        run(proto, {"x": random(5, 4), "table": random(3, 4)})
