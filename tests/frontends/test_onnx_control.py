"""Control flow of ONNX graphs: branches decided by constants, by sizes and by the contents of inputs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, helper
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.passes import optimise

from pyruntime.errors import InputError, UnsupportedError
from pyruntime.ir.dims import symbol
from pyruntime.ir.symbols import evaluate
from pyruntime.ops.interpret import run_program
from pyruntime.ops.run_graph import bind_symbols, run_graph
from tests.frontends.control_models import (
    ALWAYS,
    LOOPED,
    MODELS,
    NEG,
    RELU,
    STEP,
    accumulating,
    below,
    branch,
    decide,
    early,
    info,
    ints,
    looped,
    node,
)
from tests.frontends.onnx_models import Array, imported, model, open_size, random, run, runtime, same
from tests.frontends.random_control import random_model


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
    constraint, fits = graph.constraints
    assert "window of 4 does not fit" in fits.reason
    assert "If 'if'" in constraint.reason
    taken = [all(evaluate(c.value, {"n": n}) for c in graph.constraints) for n in (3, 4, 7, 8)]
    assert taken == [False, True, True, False]
    assert graph.outputs[0].shape == (open_size("b"), 3)
    for size in (4, 5, 7):
        agrees(proto, {"x": random(3, 2, size)})
    with pytest.raises(InputError, match="'if'"):
        run_graph(graph, {"x": random(3, 2, 8)})


def test_a_size_that_an_outcome_fixes_is_fixed() -> None:
    proto = squeezing(random(3, 2, 1), stride=1)
    graph = imported(proto)
    assert graph.inputs[0].shape == (open_size("b"), 2, 1)
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
    assert [e.symbol for e in graph.elements()] == ["s_0", "s_1"]
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


@pytest.mark.parametrize("name", MODELS)
def test_models(name: str) -> None:
    proto, every = MODELS[name]
    for feeds in every:
        agrees(proto, feeds)


@pytest.mark.parametrize("seed", range(24))
def test_random_models(seed: int) -> None:
    """Branches and loops in each other, on data, sizes and a parameter."""
    proto, every = random_model(seed)
    for feeds in every:
        agrees(proto, feeds)


# --------------------------------------------------------------------------------- decided by sizes and data


def test_branches_that_sizes_decide_at_run_time() -> None:
    nodes = [*below(4), decide("c", "y", RELU, NEG), node("Add", ["y", "x"], ["out"])]
    proto = model(nodes, {"x": random(3, 2)}, ["out"], shapes={"x": ["n", 2]})
    graph = imported(proto)
    assert [n.op for n in graph.nodes] == ["If", "Add"]
    assert not graph.constraints
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
    assert graph.outputs[0].shape == (symbol("n"), 2)  # of 0 it would be another graph
    for size in (1, 2, 5):
        agrees(proto, {"x": random(size, 2)})


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
    nodes[2] = decide("c", "y", NEG, branch(node("ReduceMax", ["x"], ["r"], axes=[1], keepdims=0)))
    with pytest.raises(UnsupportedError, match="'if': its branches give"):
        imported(model(nodes, {"x": random(2, 3)}, ["out"], weights={"zero": np.array(0, np.float32)}))


# -------------------------------------------------------------------------------------------- Loop and Scan


def test_loops_over_a_size() -> None:
    nodes = [node("Shape", ["t"], ["m"], end=1), accumulating("m"), node("Neg", ["ys"], ["out"])]
    feeds = {"x": random(2, 3), "t": random(4)}
    proto = model(nodes, feeds, ["y", "out"], weights={"w": LOOPED["w"]}, shapes={"t": ["n"]})
    assert imported(proto).outputs[1].shape == (open_size("n"),)
    for size in (1, 4, 6):
        agrees(proto, feeds | {"t": random(size)})


def test_tables_that_loops_run_along() -> None:
    """Of a fed number of iterations, up to the table's end."""
    nodes = [
        ALWAYS,
        node("Add", ["i", "one"], ["next"]),
        node("Unsqueeze", ["i", "zero"], ["from"]),
        node("Unsqueeze", ["next", "zero"], ["to"]),
        node("Slice", ["table", "from", "to"], ["row"]),
        node("Add", ["a", "row"], ["a2"]),
        node("Identity", ["a2"], ["s"]),
    ]
    body = looped(nodes, ["a"], ["go", "a2", "s"])
    weights: dict[str, Array] = {"table": random(5, 3), "one": np.array(1), "zero": ints(0)}
    feeds = {"x": random(1, 3), "m": np.array(2)}
    proto = model([accumulating("m", body=body)], feeds, ["y", "ys"], weights=weights)
    for count in (1, 5, 2):
        agrees(proto, feeds | {"m": np.array(count)})
    with pytest.raises(InputError, match="must be at most 5, the size of its table"):
        run(proto, feeds | {"m": np.array(6)})


def test_shapes_that_change_are_told() -> None:
    """What is appended to may have one reader alone, since what it is then nothing else tells."""
    body = looped([ALWAYS, node("Concat", ["a", "x", "a"], ["a2"], axis=0)], ["a"], ["go", "a2"])
    feeds = {"x": random(2, 3), "t": random(4)}
    nodes = [node("Shape", ["t"], ["m"], end=1), node("Loop", ["m", "", "x"], ["y"], body=body, name="grows")]
    with pytest.raises(UnsupportedError, match="'grows': a carried value changes from"):
        imported(model(nodes, feeds, ["y"], shapes={"t": ["n"]}))
    ends = looped([*early().node, node("Identity", ["most"], ["s"])], ["a"], ["go", "a2", "s"])
    weights: dict[str, Array] = {"m": LOOPED["m"], "w": LOOPED["w"], "limit": np.array(9, np.float32)}
    with pytest.raises(
        UnsupportedError, match="how many results it collects depends on data, without a bound"
    ):
        imported(model([accumulating("", body=ends)], feeds, ["y", "ys"], weights=weights))


def test_sizes_that_data_decide_each_time() -> None:
    """Branches tell them to what follows; inside a body they may be used, but are nobody's outside."""
    found = [node("NonZero", ["x"], ["at"]), node("GatherND", ["x", "turned"], ["v"])]
    found.insert(1, node("Transpose", ["at"], ["turned"], perm=[1, 0]))
    total = node("ReduceSum", ["v"], ["s"], keepdims=0)
    feeds = {"x": random(2, 3), "c": np.array(True)}
    outcomes = branch(*found, node("Neg", ["v"], ["t"])), branch(*found, node("Exp", ["v"], ["e"]))
    above = [node("ReduceMax", ["x"], ["most"], keepdims=0), node("Cast", ["most"], ["d"], to=9)]
    for x in (feeds["x"], np.minimum(feeds["x"], 0)):
        agrees(model([*above, decide("d", "out", *outcomes)], feeds, ["out"]), {**feeds, "x": x})
    body = looped([ALWAYS, *found, node("Identity", ["a"], ["a2"])], ["a"], ["go", "a2", "v"])
    nodes = [node("Shape", ["x"], ["m"], end=1), accumulating("m", body=body)]
    with pytest.raises(UnsupportedError, match="which data decide each time"):
        imported(model(nodes, feeds, ["y", "ys"], shapes={"x": ["n", 3]}))
    sums = branch(*found, total, node("Neg", ["s"], ["t"])), branch(*found, total, node("Exp", ["s"], ["e"]))
    for c in (True, False):
        agrees(model([decide("c", "out", *sums)], feeds, ["out"]), {**feeds, "c": np.array(c)})


def test_parameters_are_known_inside_bodies() -> None:
    """A loop whose trip count is an input, in a branch that data decides."""
    loop = accumulating("m", body=looped([*STEP], ["a"], ["go", "a2"]), outputs=["l"])
    nodes = [
        node("ReduceSum", ["x"], ["s"], keepdims=0),
        node("Greater", ["s", "zero"], ["c"]),
        decide("c", "out", branch(loop), NEG),
    ]
    feeds = {"x": random(2, 3), "m": np.array(2, np.int64)}
    proto = model(nodes, feeds, ["out"], weights={"w": LOOPED["w"], "zero": np.array(0, np.float32)})
    assert imported(proto).symbols() == ["m_0"]
    for sign in (1, -1):
        agrees(proto, feeds | {"x": sign * np.abs(feeds["x"])})


@pytest.mark.parametrize("direction", [0, 1])
def test_scans_of_batches(direction: int) -> None:
    """Opset 8: every input has a batch in front."""
    body = helper.make_graph(
        [node("Add", ["a", "e"], ["a2"]), node("Neg", ["a2"], ["s"])],
        "body",
        [info("a", 1, [3]), info("e", 1, [3])],
        [info("a2", 1, [3]), info("s", 1, [3])],
    )
    scan = node("Scan", ["", "z", "x"], ["y", "ys"], body=body, num_scan_inputs=1, directions=[direction])
    feeds = {"z": random(2, 3), "x": random(2, 5, 3)}
    z, x = feeds["z"], feeds["x"][:, ::-1] if direction else feeds["x"]
    sums = z[:, None] + np.cumsum(x, axis=1)
    same(run(model([scan], feeds, ["y", "ys"], opset=8), feeds), {"y": sums[:, -1], "ys": -sums})
