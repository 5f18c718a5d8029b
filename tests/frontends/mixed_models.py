"""Models that a GPU computes in part: float64 between steps in float32 and integers, with feeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from onnx import ModelProto, TensorProto, helper

from tests.frontends.onnx_models import Array, model, random

node = helper.make_node
DOUBLE, FLOAT, INT64, BOOL = TensorProto.DOUBLE, TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
Case = tuple[ModelProto, Sequence[Mapping[str, Array]]]


def crossing_twice() -> Case:
    """To the CPU and back, and again; a symbol, a weight on either side, and outputs of both."""
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),
        node("Cast", ["a"], ["wide"], to=DOUBLE),
        node("CumSum", ["wide", "axis"], ["sums"]),
        node("Mul", ["sums", "scale"], ["scaled"]),
        node("Cast", ["scaled"], ["b"], to=FLOAT),
        node("MatMul", ["b", "v"], ["c"]),
        node("Softmax", ["c"], ["d"]),
        node("Cast", ["d"], ["again"], to=DOUBLE),
        node("ReduceSum", ["again", "axis"], ["total"], keepdims=1),
        node("Cast", ["total"], ["e"], to=FLOAT),
        node("Sub", ["c", "e"], ["y"]),
    ]
    weights = {
        "w": random(5, 6, seed=1),
        "v": random(6, 7, seed=2),
        "scale": np.linspace(0.1, 2, 6),
        "axis": np.array([1]),
    }
    every: list[Mapping[str, Array]] = [{"x": random(n, 5, seed=n)} for n in (3, 1, 8)]
    return model(nodes, every[0], ["y", "sums"], opset=18, weights=weights, shapes={"x": ["n", 5]}), every


def crossing_integers() -> Case:
    """Integers past 32 bits that the CPU scales as float64, and the GPU takes on; an input that both read."""
    nodes = [
        node("Add", ["i", "far"], ["a"]),
        node("Cast", ["a"], ["wide"], to=DOUBLE),
        node("Mul", ["wide", "factor"], ["scaled"]),
        node("Cast", ["scaled"], ["back"], to=INT64),
        node("Sub", ["back", "i"], ["b"]),
        node("Mod", ["b", "rows"], ["places"]),
        node("Gather", ["w", "places"], ["y"]),
        node("Neg", ["i"], ["n"]),
        node("Cast", ["i"], ["j"], to=DOUBLE),
        node("Sin", ["j"], ["z"]),
    ]
    weights = {
        "far": np.array(2**40),
        "factor": np.array(1.5),
        "rows": np.array(9),
        "w": random(9, 3, seed=6),
    }
    every: list[Mapping[str, Array]] = [{"i": np.array(v)} for v in ([0, 3, 2**35], [8, -(2**33)], [-9])]
    shapes = {"i": ["n"]}
    return model(nodes, every[0], ["y", "b", "n", "z"], opset=18, weights=weights, shapes=shapes), every


def looped() -> Case:
    """A loop of a fed number: float32 on the GPU, a running sum in float64, a result for each iteration."""
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            node("MatMul", ["x_in", "w"], ["p"]),
            node("Tanh", ["p"], ["x_out"]),
            node("Cast", ["x_out"], ["wide"], to=DOUBLE),
            node("Exp", ["wide"], ["grown"]),
            node("Add", ["s_in", "grown"], ["s_out"]),
            node("Cast", ["s_out"], ["short"], to=FLOAT),
            node("Mul", ["short", "x_out"], ["each"]),
            node("Identity", ["go_in"], ["go_out"]),
        ],
        "body",
        [
            info("number", INT64, []),
            info("go_in", BOOL, []),
            info("x_in", FLOAT, [2, 3]),
            info("s_in", DOUBLE, [2, 3]),
        ],
        [
            info("go_out", BOOL, []),
            info("x_out", FLOAT, [2, 3]),
            info("s_out", DOUBLE, [2, 3]),
            info("each", FLOAT, [2, 3]),
        ],
    )
    nodes = [
        node("Loop", ["times", "", "x", "zero"], ["last", "sum", "all"], body=body),
        node("Relu", ["all"], ["y"]),
    ]
    weights = {"w": random(3, 3, seed=7), "zero": np.zeros((2, 3))}
    every: list[Mapping[str, Array]] = [
        {"x": random(2, 3, seed=8), "times": np.array(n)} for n in (4, 0, 1, 7)
    ]
    return model(nodes, every[0], ["last", "sum", "y"], opset=18, weights=weights), every


def ended_by_doubles() -> Case:
    """A loop that a comparison of float64 ends: the CPU computes what the program then reads."""
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            node("Mul", ["x_in", "half"], ["x_out"]),
            node("ReduceSum", ["x_out"], ["total"], keepdims=0),
            node("Cast", ["total"], ["wide"], to=DOUBLE),
            node("Greater", ["wide", "least"], ["go_out"]),
        ],
        "body",
        [info("number", INT64, []), info("go_in", BOOL, []), info("x_in", FLOAT, [3])],
        [info("go_out", BOOL, []), info("x_out", FLOAT, [3])],
    )
    nodes = [node("Loop", ["", "go", "x"], ["last"], body=body), node("Neg", ["last"], ["y"])]
    weights = {"half": np.array(0.5, np.float32), "least": np.array(0.3), "go": np.array(True)}
    every: list[Mapping[str, Array]] = [{"x": np.full(3, v, np.float32)} for v in (1.0, 40.0, 0.01)]
    return model(nodes, every[0], ["y"], opset=18, weights=weights), every


def branches() -> Case:
    """Either branch makes the result, one of them on the CPU."""
    info = helper.make_tensor_value_info
    made = [info("r", FLOAT, [2, 5])]
    host = [
        node("Cast", ["x"], ["wide"], to=DOUBLE),
        node("Sin", ["wide"], ["s"]),
        node("Cast", ["s"], ["r"], to=FLOAT),
    ]
    gpu = [node("Sin", ["x"], ["r"])]
    then, other = helper.make_graph(host, "then", [], made), helper.make_graph(gpu, "other", [], made)
    nodes = [
        node("If", ["c"], ["z"], then_branch=then, else_branch=other),
        node("MatMul", ["z", "w"], ["y"]),
    ]
    weights = {"w": random(5, 5, seed=9)}
    every: list[Mapping[str, Array]] = [
        {"c": np.array(c), "x": random(2, 5, seed=10)} for c in (True, False, True)
    ]
    return model(nodes, every[0], ["y"], opset=18, weights=weights), every


def found_in_doubles() -> Case:
    """Elements of float64 that are not zero: a size that the CPU tells, of what the GPU then gathers."""
    nodes = [
        node("Sub", ["d", "one"], ["moved"]),
        node("Cast", ["moved"], ["there"], to=BOOL),
        node("NonZero", ["there"], ["places"]),
        node("Transpose", ["places"], ["indices"], perm=[1, 0]),
        node("GatherND", ["x", "indices"], ["chosen"]),
        node("Relu", ["chosen"], ["y"]),
    ]
    every: list[Mapping[str, Array]] = [
        {"d": np.array(d), "x": random(4, seed=11)} for d in ([1.0, 2, 1, 0], [1.0, 1, 1, 1], [0.0, 0, 2, 3])
    ]
    return model(nodes, every[0], ["y"], opset=18, weights={"one": np.array(1.0)}), every


def halves_and_bools() -> Case:
    """Types that take another width on the GPU cross both ways."""
    nodes = [
        node("Relu", ["h"], ["a"]),
        node("Cast", ["a"], ["wide"], to=DOUBLE),
        node("Sqrt", ["wide"], ["root"]),
        node("Cast", ["root"], ["b"], to=TensorProto.FLOAT16),
        node("Greater", ["root", "bound"], ["more"]),
        node("Cast", ["root"], ["small"], to=TensorProto.INT8),
        node("Where", ["more", "b", "h"], ["y"]),
        node("Not", ["more"], ["less"]),
        node("Abs", ["small"], ["n"]),
    ]
    h = (random(3, 9, seed=12) * 40).astype(np.float16)
    return model(nodes, {"h": h}, ["y", "less", "n"], opset=18, weights={"bound": np.array(1.5)}), [{"h": h}]


def on_the_host_alone() -> Case:
    """Nothing for the GPU; an empty tensor and a scalar among the feeds."""
    nodes = [node("Mul", ["x", "s"], ["p"]), node("ReduceMax", ["p"], ["y"], axes=[1], keepdims=0)]
    every: list[Mapping[str, Array]] = [
        {"x": random(n, 3, seed=n).astype(np.float64), "s": np.array(-2.5)} for n in (4, 1)
    ]
    return model(nodes, every[0], ["y"], opset=17, shapes={"x": ["n", 3]}), every


MODELS: dict[str, Callable[[], Case]] = {
    m.__name__: m
    for m in (
        crossing_twice,
        crossing_integers,
        looped,
        ended_by_doubles,
        branches,
        found_in_doubles,
        halves_and_bools,
        on_the_host_alone,
    )
}
