"""ONNX models with control flow and inputs for each way through, for the front end and as golden packs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto, helper

from tests.frontends.onnx_models import Array, model, random

Feeds = Mapping[str, Array]
node = helper.make_node


def ints(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def branch(*nodes: NodeProto) -> GraphProto:
    """A branch that gives what its last node makes."""
    return helper.make_graph(nodes, "branch", [], [helper.make_empty_tensor_value_info(nodes[-1].output[0])])


def decide(condition: str, output: str, then: GraphProto, otherwise: GraphProto) -> NodeProto:
    return node("If", [condition], [output], name="if", then_branch=then, else_branch=otherwise)


RELU, NEG = branch(node("Relu", ["x"], ["t"])), branch(node("Neg", ["x"], ["e"]))


def below(limit: int, axis: int = 0) -> list[NodeProto]:
    """c: whether x is shorter than limit along axis."""
    return [
        node("Shape", ["x"], ["shape"], start=axis, end=axis + 1),
        node("Constant", [], ["limit"], value_ints=[limit]),
        node("Less", ["shape", "limit"], ["c"]),
    ]


def info(name: str, kind: int = 1, shape: list[int | str] | None = None) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def looped(
    nodes: Sequence[NodeProto],
    carried: Sequence[str],
    outputs: Sequence[str],
    names: tuple[str, str] = ("i", "on"),
    integers: Sequence[str] = (),
) -> GraphProto:
    """A body with carried inputs, of which some are integers; the first output is the condition."""
    inputs = [info(names[0], 7, []), info(names[1], 9, [])]
    inputs += [info(c, 7 if c in integers else 1) for c in carried]
    return helper.make_graph(nodes, "body", inputs, [helper.make_empty_tensor_value_info(o) for o in outputs])


ALWAYS = node("Identity", ["on"], ["go"])
STEP = [ALWAYS, node("Mul", ["a", "w"], ["p"]), node("Add", ["p", "x"], ["a2"])]
STACKS = looped([*STEP, node("ReduceSum", ["a2"], ["s"], keepdims=0)], ["a"], ["go", "a2", "s"])


def accumulating(
    trip: str, condition: str = "", body: GraphProto = STACKS, outputs: Sequence[str] = ("y", "ys")
) -> NodeProto:
    return node("Loop", [trip, condition, "x"], outputs, name="loop", body=body)


LOOPED: dict[str, Array] = {"w": np.full((2, 3), 0.5, np.float32), "m": np.array(5, np.int64)}


def early() -> GraphProto:
    nodes = [
        *STEP[1:],
        node("ReduceMax", ["a2"], ["most"], keepdims=0),
        node("Less", ["most", "limit"], ["go"]),
    ]
    return looped(nodes, ["a"], ["go", "a2"])


X = random(2, 3)
ROWS = random(4, 3)


def scalar(value: float, dtype: str = "float32") -> Array:
    return np.array(value, dtype)


def _model(
    nodes: Sequence[NodeProto],
    feeds: Feeds,
    outputs: Sequence[str],
    weights: Feeds | None = None,
    **shapes: Sequence[int | str | None],
) -> ModelProto:
    return model(nodes, feeds, outputs, weights=weights, shapes=shapes)


def _by_data() -> tuple[ModelProto, list[Feeds]]:
    """Branches in branches, by what x holds."""
    inner = branch(
        node("ReduceMax", ["x"], ["most"], keepdims=0),
        node("Greater", ["most", "one"], ["d"]),
        decide("d", "z", RELU, branch(node("Mul", ["x", "w"], ["m"]))),
    )
    nodes = [
        node("ReduceSum", ["x"], ["sum"], keepdims=0),
        node("Greater", ["sum", "zero"], ["c"]),
        decide("c", "y", inner, NEG),
        node("Add", ["y", "w"], ["out"]),
    ]
    weights = {"zero": scalar(0), "one": scalar(1), "w": random(2, 3, seed=9)}
    feeds: list[Feeds] = [{"x": np.full((2, 3), v, np.float32)} for v in (-1, 0.5, 2)]
    return _model(nodes, feeds[0], ["out"], weights), [*feeds, {"x": X}]


def _by_size() -> tuple[ModelProto, list[Feeds]]:
    nodes = [*below(4), decide("c", "y", RELU, NEG), node("Add", ["y", "x"], ["out"])]
    feeds: list[Feeds] = [{"x": random(n, 2)} for n in (1, 3, 4, 9)]
    return _model(nodes, feeds[0], ["out"], x=["n", 2]), feeds


def _unlike_sizes() -> tuple[ModelProto, list[Feeds]]:
    """Half of x where it is long, else x itself."""
    half = branch(
        node("Constant", [], ["zero"], value_ints=[0]),
        node("Constant", [], ["two"], value_ints=[2]),
        node("Div", ["shape", "two"], ["end"]),
        node("Slice", ["x", "zero", "end"], ["h"]),
    )
    same = branch(node("Identity", ["x"], ["i"]))
    nodes = [*below(4), decide("c", "y", same, half), node("Exp", ["y"], ["out"])]
    feeds: list[Feeds] = [{"x": random(n, 2)} for n in (1, 3, 4, 9)]
    return _model(nodes, feeds[0], ["out"], x=["n", 2]), feeds


def _rows_by_data() -> tuple[ModelProto, list[Feeds]]:
    """The rows that a mask selects, or one, in a shape that says how many they are, but not the rest."""
    found = branch(node("Compress", ["x", "mask"], ["some"], axis=0))
    first = branch(node("Slice", ["x", "at", "end"], ["row"]))
    nodes = [
        node("Constant", [], ["at"], value_ints=[0]),
        node("Constant", [], ["end"], value_ints=[1]),
        node("Constant", [], ["rest"], value_ints=[-1]),
        node("ReduceMax", ["x"], ["each"], axes=[1], keepdims=0),
        node("Greater", ["each", "one"], ["mask"]),
        node("ReduceMin", ["x"], ["least"], keepdims=0),
        node("Less", ["least", "zero"], ["c"]),
        decide("c", "rows", found, first),
        node("Shape", ["rows"], ["count"], end=1),
        node("Concat", ["count", "rest"], ["target"], axis=0),
        node("Reshape", ["rows", "target"], ["out"]),
    ]
    feeds: list[Feeds] = [{"x": random(5, 4)}, {"x": np.abs(random(5, 4))}]
    weights = {"zero": np.float32(0), "one": np.float32(1)}
    return _model(nodes, feeds[0], ["out"], {k: np.asarray(v) for k, v in weights.items()}), feeds


def _sizes_by_data() -> tuple[ModelProto, list[Feeds]]:
    """As many rows as branches in branches give: x itself, twice, those that a mask selects, or none."""
    selected = branch(
        node("ReduceMax", ["x"], ["each"], axes=[1], keepdims=0),
        node("Greater", ["each", "one"], ["mask"]),
        node("Compress", ["x", "mask"], ["some"], axis=0),
        node("Neg", ["some"], ["found"]),
    )
    inner = branch(
        node("ReduceMin", ["x"], ["least"], keepdims=0),
        node("Less", ["least", "zero"], ["d"]),
        decide("d", "z", selected, branch(node("Concat", ["x", "x"], ["both"], axis=0))),
    )
    nodes = [
        node("ReduceSum", ["x"], ["sum"], keepdims=0),
        node("Greater", ["sum", "zero"], ["c"]),
        decide("c", "y", inner, branch(node("Slice", ["x", "from", "to"], ["none"]))),
        node("Exp", ["y"], ["out"]),
        node("MatMul", ["y", "w"], ["product"]),
        node("Shape", ["y"], ["shape"]),
    ]
    weights = {"zero": scalar(0), "one": scalar(1), "w": random(3, 2), "from": ints(0), "to": ints(0)}
    feeds: list[Feeds] = [
        {"x": random(n, 3, seed=n, low=low, high=high)}
        for n, low, high in ((5, -0.5, 2), (2, 0.5, 2), (4, -2, 0), (1, -0.4, 2), (3, 0.1, 0.9))
    ]
    feeds.append({"x": np.array([[-0.1, 0.5, 0.5]], np.float32)})
    return _model(nodes, feeds[0], ["out", "product", "shape"], weights, x=["n", 3]), feeds


def _by_parameter() -> tuple[ModelProto, list[Feeds]]:
    nodes = [node("Equal", ["sr", "k"], ["c"]), decide("c", "out", RELU, NEG)]
    feeds: list[Feeds] = [{"x": X, "sr": scalar(v, "int64")} for v in (8000, 16000, -1)]
    return _model(nodes, feeds[0], ["out"], {"k": scalar(16000, "int64")}), feeds


def _by_flag() -> tuple[ModelProto, list[Feeds]]:
    feeds: list[Feeds] = [{"x": X, "c": np.array(v)} for v in (True, False)]
    return _model([decide("c", "out", RELU, NEG)], feeds[0], ["out"]), feeds


def _loop_over_size() -> tuple[ModelProto, list[Feeds]]:
    nodes = [node("Shape", ["t"], ["m"], end=1), accumulating("m"), node("Neg", ["ys"], ["out"])]
    feeds: list[Feeds] = [{"x": X, "t": random(n)} for n in (1, 4, 6)]
    return _model(nodes, feeds[0], ["y", "out"], {"w": LOOPED["w"]}, t=["n"]), feeds


def _loop_of_constant(trip: int) -> tuple[ModelProto, list[Feeds]]:
    weights = {**LOOPED, "m": scalar(trip, "int64")}
    return _model([accumulating("m")], {"x": X}, ["y", "ys"], weights), [{"x": X}]


def _loop_over_parameter() -> tuple[ModelProto, list[Feeds]]:
    feeds: list[Feeds] = [{"x": X, "m": scalar(m, "int64")} for m in (-2, 0, 3)]
    return _model([accumulating("m")], feeds[0], ["y", "ys"], {"w": LOOPED["w"]}), feeds


def _loop_over_data() -> tuple[ModelProto, list[Feeds]]:
    """As many iterations as the largest element says."""
    nodes = [
        node("ReduceMax", ["x"], ["most"], keepdims=0),
        node("Cast", ["most"], ["m"], to=7),
        accumulating("m", body=looped(STEP, ["a"], ["go", "a2"]), outputs=["y"]),
    ]
    feeds: list[Feeds] = [{"x": np.full((2, 3), v, np.float32)} for v in (-1, 0, 3.5)]
    return _model(nodes, feeds[0], ["y"], {"w": LOOPED["w"]}), feeds


def _loop_ended_by_data(trip: str) -> tuple[ModelProto, list[Feeds]]:
    weights = {"m": LOOPED["m"], "w": np.full((2, 3), 2, np.float32), "limit": scalar(9)}
    feeds: list[Feeds] = [{"x": random(2, 3, low=0.5)}, {"x": np.full((2, 3), 50, np.float32)}]
    return _model([accumulating(trip, body=early(), outputs=["y"])], feeds[0], ["y"], weights), feeds


def _loop_collects_until() -> tuple[ModelProto, list[Feeds]]:
    """As many results as there are iterations until the largest element passes a limit, and what follows."""
    nodes = [
        *STEP[1:],
        node("ReduceMax", ["a2"], ["most"], keepdims=0),
        node("Less", ["most", "limit"], ["go"]),
        node("ReduceSum", ["a2"], ["s"], keepdims=0),
    ]
    loop = accumulating("m", body=looped(nodes, ["a"], ["go", "a2", "s"]))
    outer = [loop, node("Exp", ["ys"], ["exps"]), node("Shape", ["ys"], ["many"])]
    weights = {"m": LOOPED["m"], "w": np.full((2, 3), 2, np.float32), "limit": scalar(9)}
    feeds: list[Feeds] = [{"x": np.full((2, 3), v, np.float32)} for v in (1, 50, 0.5, -1)]
    return _model(outer, feeds[0], ["y", "ys", "exps", "many"], weights), feeds


def _loop_begun_by_data() -> tuple[ModelProto, list[Feeds]]:
    nodes = [
        node("ReduceMax", ["x"], ["k"], keepdims=0),
        node("Less", ["k", "limit"], ["b"]),
        accumulating("m", "b", looped(STEP, ["a"], ["go", "a2"]), ["y"]),
    ]
    weights = {**LOOPED, "limit": scalar(0)}
    feeds: list[Feeds] = [{"x": X}, {"x": X - 5}]
    return _model(nodes, feeds[0], ["y"], weights), feeds


def _loop_with_index() -> tuple[ModelProto, list[Feeds]]:
    """Row i of a matrix times i."""
    nodes = [
        ALWAYS,
        node("Gather", ["x", "i"], ["row"]),
        node("Cast", ["i"], ["f"], to=1),
        node("Mul", ["row", "f"], ["p"]),
        node("Add", ["a", "p"], ["a2"]),
    ]
    body = looped(nodes, ["a"], ["go", "a2", "p"])
    outer = [node("Shape", ["x"], ["m"], end=1), node("Loop", ["m", "", "z"], ["y", "ys"], body=body)]
    feeds: list[Feeds] = [{"x": random(n, 3), "z": random(3)} for n in (4, 1)]
    return _model(outer, feeds[0], ["y", "ys"], x=["n", 3]), feeds


def _loop_in_loop() -> tuple[ModelProto, list[Feeds]]:
    nodes = [
        node("Identity", ["on2"], ["go2"]),
        node("Gather", ["x", "j"], ["row"]),
        node("Gather", ["row", "i"], ["e"]),
        node("Add", ["b", "e"], ["b2"]),
        node("Neg", ["b2"], ["b3"]),
    ]
    inner = looped(nodes, ["b"], ["go2", "b2", "b3"], names=("j", "on2"))
    columns = [ALWAYS, node("Loop", ["rows", "", "a"], ["a2", "partial"], body=inner)]
    outer = [
        node("Shape", ["x"], ["rows"], end=1),
        node("Shape", ["x"], ["columns"], start=1),
        node("Loop", ["columns", "", "z"], ["y", "ys"], body=looped(columns, ["a"], ["go", "a2", "partial"])),
    ]
    feeds: list[Feeds] = [{"x": random(*size), "z": scalar(0.25)} for size in ((4, 3), (1, 5))]
    return _model(outer, feeds[0], ["y", "ys"], x=["n", "m"]), feeds


def _branch_in_loop() -> tuple[ModelProto, list[Feeds]]:
    """What is below a limit is doubled, what is above is halved, row by row."""
    halved = branch(node("Mul", ["a", "half"], ["h"]))
    doubled = branch(node("Add", ["a", "a"], ["d"]))
    nodes = [
        ALWAYS,
        node("Gather", ["x", "i"], ["row"]),
        node("ReduceSum", ["a"], ["s"], keepdims=0),
        node("Less", ["s", "limit"], ["c"]),
        decide("c", "b", doubled, halved),
        node("Add", ["b", "row"], ["a2"]),
    ]
    body = looped(nodes, ["a"], ["go", "a2", "s"])
    outer = [node("Shape", ["x"], ["m"], end=1), node("Loop", ["m", "", "z"], ["y", "ys"], body=body)]
    feeds: list[Feeds] = [{"x": random(n, 3, low=0), "z": random(3)} for n in (7, 2)]
    return _model(outer, feeds[0], ["y", "ys"], {"half": scalar(0.5), "limit": scalar(4)}, x=["n", 3]), feeds


def _loop_over_prefixes() -> tuple[ModelProto, list[Feeds]]:
    """What is computed from the first i rows: sizes that change inside, results that do not."""
    nodes = [
        ALWAYS,
        node("Unsqueeze", ["i", "zero"], ["end"]),
        node("Slice", ["x", "zero", "end", "zero"], ["part"]),
        node("CumSum", ["part", "axis"], ["running"]),
        node("Softmax", ["running"], ["weights"], axis=0),
        node("Mul", ["weights", "part"], ["scaled"]),
        node("ReduceSum", ["scaled"], ["s"], keepdims=0),
        node("Add", ["a", "s"], ["a2"]),
    ]
    body = looped(nodes, ["a"], ["go", "a2", "s"])
    outer = [
        node("Shape", ["x"], ["rows"], end=1),
        node("Squeeze", ["rows"], ["m"]),
        node("Loop", ["m", "", "z"], ["y", "ys"], body=body),
    ]
    feeds: list[Feeds] = [{"x": random(n, 3), "z": scalar(0.5)} for n in (6, 1)]
    return _model(
        outer, feeds[0], ["y", "ys"], {"zero": ints(0), "axis": scalar(0, "int64")}, x=["n", 3]
    ), feeds


def _loop_over_windows() -> tuple[ModelProto, list[Feeds]]:
    """Each two rows that follow each other: slices by the counter, of one size in all iterations."""
    nodes = [
        ALWAYS,
        node("Unsqueeze", ["i", "zero"], ["start"]),
        node("Add", ["start", "two"], ["end"]),
        node("Slice", ["x", "start", "end", "zero"], ["window"]),
        node("Mul", ["a", "window"], ["p"]),
        node("Tanh", ["p"], ["a2"]),
        node("Concat", ["b", "window"], ["b2"], axis=0),
    ]
    body = looped(nodes, ["a", "b"], ["go", "a2", "b2", "window"])
    outer = [
        node("Shape", ["x"], ["rows"], end=1),
        node("Sub", ["rows", "one"], ["windows"]),
        node("Squeeze", ["windows"], ["m"]),
        node("Loop", ["m", "", "z", "none"], ["y", "all", "ys"], body=body),
    ]
    feeds: list[Feeds] = [{"x": random(n, 3), "z": random(2, 3, seed=n)} for n in (6, 2)]
    weights: dict[str, Array] = {
        "zero": ints(0),
        "one": ints(1),
        "two": ints(2),
        "none": np.zeros((0, 3), np.float32),
    }
    return _model(outer, feeds[0], ["y", "all", "ys"], weights, x=["n", 3]), feeds


def _loop_that_counts(*, ended: bool) -> tuple[ModelProto, list[Feeds]]:
    """As scripts write it: while i < len(x) [and sum(a) < 4]: a = tanh(a + x[i:i+1]); append(a); i += 1."""
    goes_on = [node("Less", ["j2", "rows"], ["in-x"])]
    if ended:
        test = branch(node("ReduceSum", ["a2"], ["s"], keepdims=0), node("Less", ["s", "most"], ["below"]))
        goes_on.append(decide("in-x", "go", test, branch(node("Identity", ["never"], ["no"]))))
    else:
        goes_on.append(node("Identity", ["in-x"], ["go"]))
    nodes = [
        node("Constant", [], ["step"], value_int=1),
        node("Add", ["j", "step"], ["j2"]),
        node("Unsqueeze", ["j", "zero"], ["start"]),
        node("Unsqueeze", ["j2", "zero"], ["end"]),
        node("Slice", ["x", "start", "end", "zero"], ["row"]),
        node("Add", ["a", "row"], ["p"]),
        node("Tanh", ["p"], ["a2"]),
        node("Concat", ["b", "a2"], ["b2"], axis=0),
        *goes_on,
    ]
    body = looped(nodes, ["a", "j", "b"], ["go", "a2", "j2", "b2"], integers=["j"])
    outer = [
        node("Shape", ["x"], ["length"], end=1),
        node("Squeeze", ["length"], ["rows"]),
        node("Less", ["first", "rows"], ["on"]),
        node("Loop", ["endless", "on", "z", "first", "none"], ["y", "count", "all"], body=body),
    ]
    feeds: list[Feeds] = [{"x": random(n, 3, low=0), "z": random(1, 3)} for n in (7, 1)]
    weights: dict[str, Array] = {
        "zero": ints(0),
        "first": np.array(0),
        "endless": np.array(2**63 - 1),
        "none": np.zeros((0, 3), np.float32),
        "most": scalar(2.5),
        "never": np.array(False),
    }
    return _model(outer, feeds[0], ["y", "count", "all"], weights, x=["n", 3]), feeds


def _loop_that_grows() -> tuple[ModelProto, list[Feeds]]:
    """A carried value with two more rows in each iteration."""
    nodes = [
        ALWAYS,
        node("Concat", ["a", "x"], ["a2"], axis=0),
        node("ReduceSum", ["a2"], ["s"], keepdims=0),
    ]
    body = looped(nodes, ["a"], ["go", "a2", "s"])
    feeds: list[Feeds] = [{"x": X}]
    return _model([accumulating("m", body=body)], feeds[0], ["y", "ys"], {"m": scalar(3, "int64")}), feeds


def _loop_that_appends(ended: bool) -> tuple[ModelProto, list[Feeds]]:
    """Rows behind and columns in front, by a number of iterations that sizes tell, or data too."""
    limit = [node("ReduceMax", ["a2"], ["most"], keepdims=0), node("Less", ["most", "limit"], ["go"])]
    nodes = [
        *STEP[1:],
        *(limit if ended else [ALWAYS]),
        node("Mul", ["a2", "a2"], ["squares"]),
        node("Concat", ["rows", "a2", "squares"], ["rows2"], axis=-2),
        node("ReduceSum", ["a2", "last"], ["sums"]),
        node("Concat", ["sums", "columns"], ["columns2"], axis=1),
        node("ReduceSum", ["a2"], ["s"], keepdims=0),
    ]
    body = looped(nodes, ["rows", "a", "columns"], ["go", "rows2", "a2", "columns2", "s"])
    results = ["rows", "y", "columns", "ys"]
    outer = [
        node("Shape", ["t"], ["m"], end=1),
        node("Loop", ["m", "", "none", "x", "start"], results, body=body),
        node("Exp", ["rows"], ["exps"]),
    ]
    weights = {"w": np.full((2, 3), 2, np.float32), "limit": scalar(9), "last": ints(1)}
    weights |= {"none": random(0, 3), "start": random(2, 1)}
    feeds: list[Feeds] = [
        {"x": np.full((2, 3), v, np.float32), "t": random(n)} for n, v in ((3, 1), (1, 5), (6, 0.2))
    ]
    return _model(outer, feeds[0], [*results, "exps"], weights, t=["n"]), feeds


def _swap() -> tuple[ModelProto, list[Feeds]]:
    """Fibonacci: each carried value becomes the other."""
    nodes = [ALWAYS, node("Add", ["a", "b"], ["c"]), node("Identity", ["b"], ["a2"])]
    body = looped(nodes, ["a", "b"], ["go", "a2", "c"])
    feeds = {"p": random(3), "q": random(3, seed=1)}
    nodes = [node("Loop", ["m", "", "p", "q"], ["y", "z"], body=body)]
    return _model(nodes, feeds, ["y", "z"], {"m": LOOPED["m"]}), [feeds]


def _scan(axis: int, direction: int) -> tuple[ModelProto, list[Feeds]]:
    body = helper.make_graph(
        [node("Add", ["a", "e"], ["a2"]), node("Mul", ["a2", "f"], ["s"])],
        "body",
        [info("a"), info("e"), info("f")],
        [info("a2"), info("s")],
    )
    attrs: dict[str, Any] = {
        "num_scan_inputs": 2,
        "scan_input_axes": [axis, 1],
        "scan_input_directions": [direction, 1 - direction],
        "scan_output_axes": [axis],
        "scan_output_directions": [direction],
    }
    nodes = [node("Scan", ["z", "x", "v"], ["y", "ys"], body=body, **attrs)]
    feeds: list[Feeds] = [
        {"z": random(3), "x": random(*((n, 3) if axis == 0 else (3, n))), "v": random(3, n, seed=3)}
        for n in (5, 1)
    ]
    shapes: dict[str, list[int | str | None]] = {"x": ["n", 3] if axis == 0 else [3, "n"], "v": [3, "n"]}
    return _model(nodes, feeds[0], ["y", "ys"], None, **shapes), feeds


MODELS: Mapping[str, tuple[ModelProto, list[Feeds]]] = {
    "if-data": _by_data(),
    "if-size": _by_size(),
    "if-sizes-differ": _unlike_sizes(),
    "if-rows-reshaped": _rows_by_data(),
    "if-sizes-by-data": _sizes_by_data(),
    "if-parameter": _by_parameter(),
    "if-flag": _by_flag(),
    "loop-size": _loop_over_size(),
    "loop-never": _loop_of_constant(0),
    "loop-constant": _loop_of_constant(5),
    "loop-parameter": _loop_over_parameter(),
    "loop-data": _loop_over_data(),
    "loop-early": _loop_ended_by_data("m"),
    "loop-while": _loop_ended_by_data(""),
    "loop-collects": _loop_collects_until(),
    "loop-begun": _loop_begun_by_data(),
    "loop-index": _loop_with_index(),
    "loop-loop": _loop_in_loop(),
    "loop-if": _branch_in_loop(),
    "loop-prefixes": _loop_over_prefixes(),
    "loop-windows": _loop_over_windows(),
    "loop-counts": _loop_that_counts(ended=False),
    "loop-counts-until": _loop_that_counts(ended=True),
    "loop-grows": _loop_that_grows(),
    "loop-appends": _loop_that_appends(ended=False),
    "loop-appends-until": _loop_that_appends(ended=True),
    "loop-swap": _swap(),
    **{f"scan-{a}-{d}": _scan(a, d) for a in (0, 1, -1) for d in (0, 1)},
}
