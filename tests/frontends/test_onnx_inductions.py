"""Loops that count by themselves run as often as in ONNX Runtime, wherever they begin and end."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from onnx import ModelProto, helper

from pyruntime.ops.run_graph import run_graph
from tests.frontends.control_models import branch, looped
from tests.frontends.onnx_models import Array, imported, model, random, runtime, same

node = helper.make_node
TESTS = {
    "Less": ("next", "limit"),
    "LessOrEqual": ("next", "limit"),
    "Greater": ("limit", "next"),
    "GreaterOrEqual": ("limit", "next"),
}


def counting(op: str, start: int, step: int, offset: int, *, guarded: bool, by_data: bool) -> ModelProto:
    """i = start; while i OP len(x) + offset: total += x[0] * i; append(total); i += step."""
    last = "held" if by_data else "go"
    nodes = [
        node("Constant", [], ["step"], value_int=step),
        node("Add", ["step", "j"], ["next"]),
        node("Cast", ["j"], ["number"], to=1),
        node("Mul", ["number", "first"], ["part"]),
        node("Add", ["a", "part"], ["a2"]),
        node(op, list(TESTS[op]), [last]),
    ]
    if by_data:
        test = branch(node("Less", ["a2", "most"], ["below"]))
        nodes.append(
            node(
                "If",
                ["held"],
                ["go"],
                then_branch=test,
                else_branch=branch(node("Identity", ["never"], ["no"])),
            )
        )
    body = looped(nodes, ["a", "j"], ["go", "a2", "next", "a2"], integers=["j"])
    outer = [
        node("Shape", ["x"], ["size"], end=1),
        node("Squeeze", ["size"], ["length"]),
        node("Add", ["length", "offset"], ["limit"]),
        node("Gather", ["x", "zero"], ["first"]),
        *([node(op, ["start" if n == "next" else n for n in TESTS[op]], ["on"])] if guarded else []),
        node("Loop", ["", "on", "base", "start"], ["y", "count", "all"], body=body),
    ]
    weights: dict[str, Array] = {
        "start": np.array(start),
        "offset": np.array(offset),
        "zero": np.array(0),
        "base": np.array(0.5, np.float32),
        "most": np.array(6, np.float32),
        "never": np.array(False),
    }
    if not guarded:
        weights["on"] = np.array(True)
    outputs = ["y", "count", "all"]
    return model(outer, {"x": random(4)}, outputs, opset=17, weights=weights, shapes={"x": ["n"]})


@pytest.mark.parametrize("by_data", [False, True])
@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("op", TESTS)
def test_loops_that_count(op: str, guarded: bool, by_data: bool) -> None:
    for start, step, offset in itertools.product((0, 1, 3), (1, 2), (0, -2)):
        proto = counting(op, start, step, offset, guarded=guarded, by_data=by_data)
        graph = imported(proto)
        for size in (1, 2, 3, 5, 8):
            feeds = {"x": np.linspace(1, 2, size, dtype=np.float32)}
            wanted = runtime(proto, feeds)
            if wanted["all"].size:  # of no iterations ONNX Runtime does not know the shape
                same(run_graph(graph, feeds), wanted)


def test_loops_that_count_down() -> None:
    nodes = [
        node("Constant", [], ["step"], value_int=-1),
        node("Add", ["j", "step"], ["next"]),
        node("Mul", ["a", "half"], ["a2"]),
        node("Greater", ["next", "zero"], ["go"]),
    ]
    body = looped(nodes, ["a", "j"], ["go", "a2", "next"], integers=["j"])
    outer = [
        node("Shape", ["x"], ["size"], end=1),
        node("Squeeze", ["size"], ["length"]),
        node("Loop", ["", "on", "x", "length"], ["y", "count"], body=body),
    ]
    weights = {"zero": np.array(0), "half": np.array(0.5, np.float32), "on": np.array(True)}
    proto = model(outer, {"x": random(4)}, ["y", "count"], opset=17, weights=weights, shapes={"x": ["n"]})
    graph = imported(proto)
    for size in (1, 2, 7):
        feeds = {"x": random(size)}
        same(run_graph(graph, feeds), runtime(proto, feeds))
