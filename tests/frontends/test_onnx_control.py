"""Control flow of ONNX graphs: branches decided by constants, by sizes and by the contents of inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto, helper
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.passes import optimise

from pyruntime.errors import InputError, UnsupportedError
from pyruntime.ir.dims import evaluate, symbol
from pyruntime.ops.interpret import run_program
from pyruntime.ops.run_graph import bind_symbols, run_graph
from tests.frontends.onnx_models import Array, imported, model, random, run, runtime, same

node = helper.make_node


def agrees(proto: ModelProto, feeds: Mapping[str, Array]) -> None:
    """The graph, and what it lowers to, give what ONNX Runtime gives."""
    expected = runtime(proto, feeds)
    graph = imported(proto)
    same(run_graph(graph, feeds), expected)
    optimise(graph)
    same(run_graph(graph, feeds), expected)
    program = lower(graph)
    inputs = [np.asarray(feeds[v.name]) for v in graph.inputs]
    made = run_program(program, inputs, bind_symbols(graph, feeds))
    same(dict(zip(graph.output_names, made, strict=True)), expected)


def ints(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def branch(*nodes: NodeProto) -> GraphProto:
    """A branch that gives what its last node makes."""
    return helper.make_graph(nodes, "branch", [], [helper.make_empty_tensor_value_info(nodes[-1].output[0])])


def decide(condition: str, output: str, then: GraphProto, otherwise: GraphProto) -> NodeProto:
    return node("If", [condition], [output], name="if", then_branch=then, else_branch=otherwise)


RELU, NEG = branch(node("Relu", ["x"], ["t"])), branch(node("Neg", ["x"], ["e"]))


# ------------------------------------------------------------------------------- decided while converting


@pytest.mark.parametrize("condition", [True, False])
def test_branches_that_constants_decide(condition: bool) -> None:
    x = random(2, 3)
    proto = model([decide("c", "out", RELU, NEG)], {"x": x}, ["out"], weights={"c": np.array(condition)})
    assert [n.op for n in imported(proto).nodes] == ["Relu" if condition else "Neg"]
    same(run(proto, {"x": x}), {"out": np.maximum(x, 0) if condition else -x})


def test_branches_that_shapes_decide() -> None:
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "one"], ["d"]),
        node("Equal", ["d", "three"], ["c"]),
        decide("c", "out", RELU, NEG),
    ]
    weights: dict[str, Array] = {"one": np.array(1, np.int64), "three": np.array(3, np.int64)}
    proto = model(nodes, {"x": random(2, 3)}, ["out"], weights=weights, shapes={"x": ["n", 3]})
    assert [n.op for n in imported(proto).nodes] == ["Relu"]


# --------------------------------------------------------------------- outcomes that are tried as assumptions


def squeezing(x: Array, *, stride: int = 4) -> ModelProto:
    """x [b, 2, n] pooled along n, squeezed if that leaves 1, and multiplied, which takes rank 2."""
    nodes = [
        node("MaxPool", ["x"], ["p"], kernel_shape=[stride], strides=[stride]),
        node("Shape", ["p"], ["s"]),
        node("Gather", ["s", "last"], ["d"]),
        node("Equal", ["d", "one"], ["c"]),
        decide(
            "c", "q", branch(node("Squeeze", ["p", "axes"], ["t"])), branch(node("Identity", ["p"], ["e"]))
        ),
        node("Gemm", ["q", "w"], ["out"]),
    ]
    weights: dict[str, Array] = {
        "last": np.array(-1, np.int64),
        "one": np.array(1, np.int64),
        "axes": ints(-1),
        "w": random(2, 3),
    }
    return model(nodes, {"x": x}, ["out"], weights=weights, shapes={"x": ["b", 2, "n"]})


def test_the_only_outcome_that_converts_becomes_a_constraint() -> None:
    proto = squeezing(random(3, 2, 5))
    graph = imported(proto)
    (constraint,) = graph.constraints
    assert [bool(evaluate(constraint.value, {"n": n})) for n in (3, 4, 7, 8)] == [False, True, True, False]
    assert "If 'if'" in constraint.reason
    assert graph.outputs[0].shape == (symbol("b"), 3)
    for size in (4, 5, 7):
        agrees(proto, {"x": random(3, 2, size)})
    with pytest.raises(InputError, match="'if'"):
        run_graph(graph, {"x": random(3, 2, 8)})


def test_a_size_that_an_outcome_fixes_is_fixed() -> None:
    proto = squeezing(random(3, 2, 1), stride=1)
    graph = imported(proto)
    assert graph.inputs[0].shape == (symbol("b"), 2, 1)
    assert not graph.constraints
    agrees(proto, {"x": random(3, 2, 1)})


def test_outcomes_that_both_convert_to_unlike_shapes_are_told() -> None:
    proto = squeezing(random(3, 2, 5))
    proto.graph.node[-1].CopyFrom(node("Relu", ["q"], ["out"]))
    with pytest.raises(UnsupportedError, match="'if': its branches give unlike shapes"):
        imported(proto)


def test_a_missing_operator_is_no_reason_to_refuse_sizes() -> None:
    proto = squeezing(random(3, 2, 5))
    proto.graph.node[4].attribute[1].g.node[0].op_type = "NonZero"
    with pytest.raises(UnsupportedError, match="NonZero"):
        imported(proto)


def test_nested_outcomes_that_convert_are_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve branches in a row: for n of 2, 3, ... each keeps an axis that the others drop."""
    nodes: list[NodeProto] = []
    for i in range(12):
        keep, drop = (
            branch(node("Identity", [f"x{i}"], ["k"])),
            branch(node("Squeeze", [f"x{i}", "zero"], ["d"])),
        )
        nodes += [
            node("Shape", [f"x{i}"], [f"s{i}"]),
            node("Gather", [f"s{i}", "last"], [f"n{i}"]),
            node("Equal", [f"n{i}", f"k{i}"], [f"c{i}"]),
            decide(f"c{i}", f"x{i + 1}", keep, drop),
        ]
    weights: dict[str, Array] = {"zero": ints(0), "last": np.array(-1, np.int64)}
    weights |= {f"k{i}": np.array(i + 2, np.int64) for i in range(12)}
    shapes: dict[str, list[int | str | None]] = {"x0": [*[1] * 12, "n"]}
    proto = model(nodes, {"x0": random(*[1] * 12, 3)}, ["x12"], weights=weights, shapes=shapes)
    with pytest.raises(UnsupportedError, match="unlike shapes"):
        imported(proto)
    monkeypatch.setattr("pyruntime_converter.frontends.onnx.assumptions.MAX_ATTEMPTS", 5)
    with pytest.raises(UnsupportedError, match="more than 5 ways"):
        imported(proto)


# ------------------------------------------------------------------------------------- contents of inputs


def test_a_target_shape_that_is_an_input() -> None:
    feeds = {"x": random(6, 4), "s": ints(3, 8)}
    proto = model([node("Reshape", ["x", "s"], ["out"])], feeds, ["out"])
    graph = imported(proto)
    assert [name for _, _, name in graph.elements()] == ["s_0", "s_1"]
    agrees(proto, feeds)
    for shape in ((12, 2), (-1, 3), (4, -1), (0, -1), (6, 0)):
        agrees(proto, feeds | {"s": ints(*shape)})
    for shape in ((5, 5), (-1, -1), (-1, 5)):
        with pytest.raises(InputError, match="target shape must have 24 elements"):
            run_graph(graph, feeds | {"s": ints(*shape)})


def test_slices_between_bounds_that_are_inputs() -> None:
    feeds = {"x": random(7, 2), "a": ints(1), "b": ints(5)}
    proto = model([node("Slice", ["x", "a", "b"], ["out"])], feeds, ["out"])
    for start, end in ((1, 5), (-3, 7), (0, 99), (5, 2), (-99, -1)):
        agrees(proto, feeds | {"a": ints(start), "b": ints(end)})


def test_contents_through_arithmetic() -> None:
    feeds = {"x": random(2, 3), "k": np.array(2, np.int32)}
    nodes = [
        node("Mul", ["k", "two"], ["double"]),
        node("Cast", ["double"], ["wide"], to=7),
        node("Unsqueeze", ["wide", "zero"], ["first"]),
        node("Concat", ["first", "ones"], ["repeats"], axis=0),
        node("Tile", ["x", "repeats"], ["out"]),
    ]
    weights: dict[str, Array] = {"two": np.array(2, np.int32), "zero": ints(0), "ones": ints(1)}
    proto = model(nodes, feeds, ["out"], weights=weights)
    for count in (0, 1, 3):
        agrees(proto, feeds | {"k": np.array(count, np.int32)})
    with pytest.raises(InputError, match="number of copies"):
        run_graph(imported(proto), feeds | {"k": np.array(-1, np.int32)})


def test_expansion_to_a_shape_that_is_an_input() -> None:
    feeds = {"x": random(3, 1), "s": ints(2, 1, 6)}
    proto = model([node("Expand", ["x", "s"], ["out"])], feeds, ["out"])
    for shape in ((2, 1, 6), (1, 3, 1), (4, 3, 2)):
        agrees(proto, feeds | {"s": ints(*shape)})
    with pytest.raises(InputError, match="must be 1 or 3"):
        run_graph(imported(proto), feeds | {"s": ints(2, 2, 6)})


def test_inputs_that_nothing_needs_to_know_stay_closed() -> None:
    feeds = {"x": random(5, 2), "i": ints(3)}
    graph = imported(model([node("Gather", ["x", "i"], ["out"])], feeds, ["out"]))
    assert graph.symbols() == []


# --------------------------------------------------------------------------------- decided by sizes and data


def below(limit: int, axis: int = 0) -> list[NodeProto]:
    """c: whether x is shorter than limit along axis."""
    return [
        node("Shape", ["x"], ["shape"], start=axis, end=axis + 1),
        node("Constant", [], ["limit"], value_ints=[limit]),
        node("Less", ["shape", "limit"], ["c"]),
    ]


def test_branches_that_sizes_decide_at_run_time() -> None:
    nodes = [*below(4), decide("c", "y", RELU, NEG), node("Add", ["y", "x"], ["out"])]
    proto = model(nodes, {"x": random(3, 2)}, ["out"], shapes={"x": ["n", 2]})
    graph = imported(proto)
    assert [n.op for n in graph.nodes] == ["If", "Add"]
    assert not graph.constraints
    for size in (1, 3, 4, 9):
        agrees(proto, {"x": random(size, 2)})


def test_branches_with_unlike_sizes() -> None:
    """Half of x where it is long, else x itself."""
    half = branch(
        node("Constant", [], ["zero"], value_ints=[0]),
        node("Constant", [], ["two"], value_ints=[2]),
        node("Div", ["shape", "two"], ["end"]),
        node("Slice", ["x", "zero", "end"], ["h"]),
    )
    nodes = [
        *below(4),
        decide("c", "y", branch(node("Identity", ["x"], ["i"])), half),
        node("Exp", ["y"], ["out"]),
    ]
    proto = model(nodes, {"x": random(3, 2)}, ["out"], shapes={"x": ["n", 2]})
    for size in (1, 3, 4, 9):
        agrees(proto, {"x": random(size, 2)})


def test_branches_for_one_size() -> None:
    """What holds in a branch is known there: a squeeze of what the condition says is 1."""
    one = branch(
        node("Constant", [], ["axes"], value_ints=[0]),
        node("Squeeze", ["x", "axes"], ["q"]),
        node("Unsqueeze", ["q", "axes"], ["u"]),
    )
    nodes = [*below(2), decide("c", "y", one, NEG), node("Exp", ["y"], ["out"])]
    proto = model(nodes, {"x": random(3, 2)}, ["out"], shapes={"x": ["n", 2]})
    graph = imported(proto)
    assert graph.outputs[0].shape == (symbol("n"), 2)
    for size in (1, 2, 5):
        agrees(proto, {"x": random(size, 2)})


@pytest.mark.parametrize("rate", [8000, 16000, 1])
def test_branches_that_a_parameter_decides(rate: int) -> None:
    nodes = [node("Equal", ["sr", "k"], ["c"]), decide("c", "out", RELU, NEG)]
    feeds = {"x": random(2, 3), "sr": np.array(rate, np.int64)}
    proto = model(nodes, feeds, ["out"], weights={"k": np.array(16000, np.int64)})
    assert imported(proto).symbols() == ["sr_0"]
    agrees(proto, feeds)


def test_branches_that_data_decides() -> None:
    nodes = [
        node("ReduceSum", ["x"], ["sum"], keepdims=0),
        node("Greater", ["sum", "zero"], ["c"]),
        decide("c", "y", RELU, NEG),
        node("Mul", ["y", "y"], ["out"]),
    ]
    proto = model(nodes, {"x": random(2, 3)}, ["out"], weights={"zero": np.array(0, np.float32)})
    for seed in range(4):
        agrees(proto, {"x": random(2, 3, seed=seed)})
    for outputs in ([NEG, branch(node("Flatten", ["x"], ["f"], axis=0))],):
        nodes[2] = decide("c", "y", *outputs)
        with pytest.raises(UnsupportedError, match="'if': its branches give"):
            imported(model(nodes, {"x": random(2, 3)}, ["out"], weights={"zero": np.array(0, np.float32)}))


def test_branches_in_branches() -> None:
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
    weights: dict[str, Array] = {
        "zero": np.array(0, np.float32),
        "one": np.array(1, np.float32),
        "w": random(2, 3, seed=9),
    }
    proto = model(nodes, {"x": random(2, 3)}, ["out"], weights=weights)
    for seed in range(8):
        agrees(proto, {"x": random(2, 3, seed=seed, low=-1.5, high=1.5)})


# -------------------------------------------------------------------------------------------- Loop and Scan


def info(name: str, kind: int = 1, shape: list[int | str] | None = None) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def looped(
    nodes: Sequence[NodeProto],
    carried: Sequence[str],
    outputs: Sequence[str],
    names: tuple[str, str] = ("i", "on"),
) -> GraphProto:
    """A body with carried inputs; the first output is the condition."""
    inputs = [info(names[0], 7, []), info(names[1], 9, []), *(info(c) for c in carried)]
    return helper.make_graph(nodes, "body", inputs, [helper.make_empty_tensor_value_info(o) for o in outputs])


ALWAYS = node("Identity", ["on"], ["go"])
STEP = [ALWAYS, node("Mul", ["a", "w"], ["p"]), node("Add", ["p", "x"], ["a2"])]
STACKS = looped([*STEP, node("ReduceSum", ["a2"], ["s"], keepdims=0)], ["a"], ["go", "a2", "s"])


def accumulating(
    trip: str, condition: str = "", body: GraphProto = STACKS, outputs: Sequence[str] = ("y", "ys")
) -> NodeProto:
    return node("Loop", [trip, condition, "x"], outputs, name="loop", body=body)


LOOPED: dict[str, Array] = {"w": np.full((2, 3), 0.5, np.float32), "m": np.array(5, np.int64)}


@pytest.mark.parametrize("trip", [0, 1, 5])
def test_loops_of_a_constant_number(trip: int) -> None:
    feeds = {"x": random(2, 3)}
    weights: dict[str, Array] = LOOPED | {"m": np.array(trip, np.int64)}
    agrees(model([accumulating("m")], feeds, ["y", "ys"], weights=weights), feeds)


def test_loops_over_a_size() -> None:
    nodes = [node("Shape", ["t"], ["m"], end=1), accumulating("m"), node("Neg", ["ys"], ["out"])]
    feeds = {"x": random(2, 3), "t": random(4)}
    proto = model(nodes, feeds, ["y", "out"], weights={"w": LOOPED["w"]}, shapes={"t": ["n"]})
    assert imported(proto).outputs[1].shape == (symbol("n"),)
    for size in (1, 4, 6):
        agrees(proto, feeds | {"t": random(size)})


@pytest.mark.parametrize("trip", [-2, 0, 3])
def test_loops_over_a_parameter(trip: int) -> None:
    feeds = {"x": random(2, 3), "m": np.array(trip, np.int64)}
    agrees(model([accumulating("m")], feeds, ["y", "ys"], weights={"w": LOOPED["w"]}), feeds)


def early(limit: float) -> GraphProto:
    nodes = [
        *STEP[1:],
        node("ReduceMax", ["a2"], ["most"], keepdims=0),
        node("Less", ["most", "limit"], ["go"]),
    ]
    return looped(nodes, ["a"], ["go", "a2"])


@pytest.mark.parametrize("trip", ["m", ""])
def test_loops_that_data_ends(trip: str) -> None:
    feeds = {"x": random(2, 3, low=0.5)}
    weights: dict[str, Array] = {
        "m": LOOPED["m"],
        "w": np.full((2, 3), 2, np.float32),
        "limit": np.array(9, np.float32),
    }
    agrees(model([accumulating(trip, body=early(9), outputs=["y"])], feeds, ["y"], weights=weights), feeds)


@pytest.mark.parametrize("first", [True, False])
def test_loops_that_may_not_begin(first: bool) -> None:
    for feeds, opened in (
        ({"x": random(2, 3), "b": np.array(first)}, True),
        ({"x": random(2, 3) - 5 * first}, False),
    ):
        start = [node("ReduceMax", ["x"], ["k"], keepdims=0), node("Less", ["k", "limit"], ["b"])]
        weights: dict[str, Array] = {"m": LOOPED["m"], "w": LOOPED["w"], "limit": np.array(0, np.float32)}
        nodes = [*([] if opened else start), accumulating("m", "b", outputs=["y", ""])]
        nodes[-1].attribute[0].g.CopyFrom(looped(STEP, ["a"], ["go", "a2"]))
        del nodes[-1].output[1:]
        agrees(model(nodes, feeds, ["y"], weights=weights), feeds)


def test_the_iteration_is_known_inside() -> None:
    """Row i of a matrix, whatever i is."""
    body = looped(
        [
            ALWAYS,
            node("Gather", ["x", "i"], ["row"]),
            node("Cast", ["i"], ["f"], to=1),
            node("Mul", ["row", "f"], ["p"]),
            node("Add", ["a", "p"], ["a2"]),
        ],
        ["a"],
        ["go", "a2", "p"],
    )
    feeds = {"x": random(4, 3), "z": random(3)}
    nodes = [node("Shape", ["x"], ["m"], end=1), node("Loop", ["m", "", "z"], ["y", "ys"], body=body)]
    proto = model(nodes, feeds, ["y", "ys"], shapes={"x": ["n", 3]})
    agrees(proto, feeds)
    agrees(proto, feeds | {"x": random(1, 3)})


def test_loops_in_loops() -> None:
    nodes = [
        node("Identity", ["on2"], ["go2"]),
        node("Gather", ["x", "j"], ["row"]),
        node("Gather", ["row", "i"], ["e"]),
        node("Add", ["b", "e"], ["b2"]),
        node("Neg", ["b2"], ["b3"]),
    ]
    inner = looped(nodes, ["b"], ["go2", "b2", "b3"], names=("j", "on2"))
    body = looped(
        [ALWAYS, node("Loop", ["rows", "", "a"], ["a2", "partial"], body=inner)],
        ["a"],
        ["go", "a2", "partial"],
    )
    nodes = [
        node("Shape", ["x"], ["rows"], end=1),
        node("Shape", ["x"], ["columns"], start=1),
        node("Loop", ["columns", "", "z"], ["y", "ys"], body=body),
    ]
    feeds = {"x": random(4, 3), "z": np.array(0.25, np.float32)}
    proto = model(nodes, feeds, ["y", "ys"], shapes={"x": ["n", "m"]})
    agrees(proto, feeds)
    agrees(proto, feeds | {"x": random(1, 5)})


def test_values_that_change_places() -> None:
    """Fibonacci: each carried value becomes the other."""
    nodes = [ALWAYS, node("Add", ["a", "b"], ["c"]), node("Identity", ["b"], ["a2"])]
    body = looped(nodes, ["a", "b"], ["go", "a2", "c"])
    feeds = {"p": random(3), "q": random(3, seed=1)}
    agrees(
        model(
            [node("Loop", ["m", "", "p", "q"], ["y", "z"], body=body)],
            feeds,
            ["y", "z"],
            weights={"m": LOOPED["m"]},
        ),
        feeds,
    )


def test_shapes_that_change_are_told() -> None:
    body = looped([ALWAYS, node("Concat", ["a", "x"], ["a2"], axis=0)], ["a"], ["go", "a2"])
    feeds = {"x": random(2, 3), "t": random(4)}
    nodes = [node("Shape", ["t"], ["m"], end=1), node("Loop", ["m", "", "x"], ["y"], body=body, name="grows")]
    with pytest.raises(UnsupportedError, match="'grows': a carried value changes from"):
        imported(model(nodes, feeds, ["y"], shapes={"t": ["n"]}))
    ends = looped([*early(9).node, node("Identity", ["most"], ["s"])], ["a"], ["go", "a2", "s"])
    weights: dict[str, Array] = {"m": LOOPED["m"], "w": LOOPED["w"], "limit": np.array(9, np.float32)}
    with pytest.raises(UnsupportedError, match="how many results it collects depends on data"):
        imported(model([accumulating("m", body=ends)], feeds, ["y", "ys"], weights=weights))


@pytest.mark.parametrize("direction", [0, 1])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_scans(direction: int, axis: int) -> None:
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
        "scan_output_axes": [min(1, axis)],
        "scan_output_directions": [direction],
    }
    feeds = {"z": random(3), "x": random(5, 3) if axis == 0 else random(3, 5), "v": random(3, 5, seed=3)}
    shapes: dict[str, list[int | str | None]] = {"x": ["n", 3] if axis == 0 else [3, "n"], "v": [3, "n"]}
    scan = node("Scan", ["z", "x", "v"], ["y", "ys"], body=body, **attrs)
    proto = model([scan], feeds, ["y", "ys"], shapes=shapes)
    agrees(proto, feeds)
    shorter = {
        k: v if k == "z" else np.take(v, [1], axis=list(shapes[k]).index("n")) for k, v in feeds.items()
    }
    agrees(proto, shorter)
