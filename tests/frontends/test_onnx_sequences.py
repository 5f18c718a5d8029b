"""Sequences and optionals: resolved while converting, and what is left gives what ONNX Runtime gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from pyruntime.errors import ModelError, UnsupportedError
from tests.frontends.on_devices import DEVICES, Device, on_device
from tests.frontends.onnx_models import Array, agrees, imported, model, random, run, runtime, same

make = helper.make_node
SEQUENCE = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))


def number(value: int) -> Array:
    return np.array(value, np.int64)


def chunks(axis: int = 1) -> ModelProto:
    """What PyTorch's exporter writes for `chunk`: parts, some of which are put together again."""
    nodes = [
        make("SplitToSequence", ["x", "size"], ["parts"], axis=axis),
        make("SequenceAt", ["parts", "first"], ["a"]),
        make("SequenceAt", ["parts", "last"], ["b"]),
        make("Relu", ["a"], ["r"]),
        make("SequenceConstruct", ["b", "r", "a"], ["chosen"]),
        make("ConcatFromSequence", ["chosen"], ["out"], axis=axis),
        make("SequenceLength", ["parts"], ["count"]),
    ]
    weights = {"size": number(2), "first": number(1), "last": number(-1)}
    return model(nodes, {"x": random(3, 7, 5)}, ["out", "count"], weights=weights)


@pytest.mark.parametrize("device", DEVICES)
def test_chunks(device: Device, tmp_path: Path) -> None:
    feeds = {"x": random(3, 7, 5)}
    agrees(chunks(), feeds)
    same(on_device(chunks(), feeds, device, tmp_path), runtime(chunks(), feeds))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("place", [1, -1])
def test_position_that_is_fed(device: Device, place: int, tmp_path: Path) -> None:
    nodes = [make("SplitToSequence", ["x"], ["rows"]), make("SequenceAt", ["rows", "place"], ["out"])]
    feeds = {"x": random(3, 4), "place": number(place)}
    proto = model(nodes, feeds, ["out"])
    same(on_device(proto, feeds, device, tmp_path), runtime(proto, feeds))


def test_nothing_of_sequences_is_left() -> None:
    assert {n.op for n in imported(chunks()).nodes} == {"Slice", "Relu", "Concat"}


@pytest.mark.parametrize(
    ("split", "keepdims"),
    [([2, 4, 1], 1), ([0, 7, 0], 1), (3, 1), (7, 1), (9, 1), (1, 1), (None, 0), (None, 1)],
)
@pytest.mark.parametrize("axis", [1, -2])
def test_split(split: Any, keepdims: int, axis: int) -> None:
    weights = {"place": number(-1)} | ({} if split is None else {"split": np.array(split, np.int64)})
    given = ["x"] if split is None else ["x", "split"]
    nodes = [
        make("SplitToSequence", given, ["parts"], axis=axis, keepdims=keepdims),
        make("SequenceAt", ["parts", "place"], ["out"]),
        make("SequenceLength", ["parts"], ["count"]),
    ]
    feeds = {"x": random(3, 7, 5)}
    agrees(model(nodes, feeds, ["out", "count"], weights=weights), feeds)


@pytest.mark.parametrize("place", [None, 0, 1, 2, -1, -2])
@pytest.mark.parametrize("new_axis", [0, 1])
def test_insert_and_stack(place: int | None, new_axis: int) -> None:
    weights = {} if place is None else {"place": number(place)}
    nodes = [
        make("SequenceConstruct", ["x", "y"], ["two"]),
        make("SequenceInsert", ["two", "z", *weights], ["three"]),
        make("ConcatFromSequence", ["three"], ["out"], axis=-1, new_axis=new_axis),
    ]
    feeds = {n: random(2, 3, seed=i) for i, n in enumerate("xyz")}
    agrees(model(nodes, feeds, ["out"], weights=weights), feeds)


@pytest.mark.parametrize("place", [None, 0, 2, -3])
def test_erase(place: int | None) -> None:
    weights = {} if place is None else {"place": number(place)}
    nodes = [
        make("SequenceEmpty", [], ["none"]),
        make("SequenceInsert", ["none", "x"], ["one"]),
        make("Identity", ["one"], ["same"]),
        make("SequenceInsert", ["same", "y"], ["two"]),
        make("SequenceInsert", ["two", "z"], ["three"]),
        make("SequenceErase", ["three", *weights], ["left"]),
        make("ConcatFromSequence", ["left"], ["out"], axis=0),
    ]
    feeds = {n: random(2 + i, 3, seed=i) for i, n in enumerate("xyz")}
    agrees(model(nodes, feeds, ["out"], weights=weights), feeds)


def body(nodes: list[Any], inputs: list[Any], outputs: list[Any]) -> Any:
    return helper.make_graph(nodes, "body", inputs, outputs)


def floats(name: str) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)


def rows(name: str) -> Any:
    """A branch that gives the rows of a tensor around it."""
    made = helper.make_value_info(f"{name}_rows", SEQUENCE)
    return body([make("SplitToSequence", [name], [f"{name}_rows"])], [], [made])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("number", [1, np.nan])
def test_branches_that_data_choose(device: Device, number: float, tmp_path: Path) -> None:
    nodes = [
        make("Neg", ["x"], ["y"]),
        make("IsNaN", ["f"], ["c"]),
        make("If", ["c"], ["list"], then_branch=rows("x"), else_branch=rows("y")),
        make("SequenceAt", ["list", "last"], ["out"]),
    ]
    weights = {"last": np.array(-1)}
    feeds = {"x": random(3, 4), "f": np.array(number, np.float32)}
    proto = model(nodes, feeds, ["out"], weights=weights)
    same(on_device(proto, feeds, device, tmp_path), runtime(proto, feeds))


def test_loop_that_appends() -> None:
    """A list that a scripted loop fills; its elements grow."""
    iteration = helper.make_tensor_value_info("i", TensorProto.INT64, [])
    goes_on = helper.make_tensor_value_info("on", TensorProto.BOOL, [])
    nodes = [
        make("Identity", ["on"], ["going"]),
        make("Concat", ["t", "x"], ["longer"], axis=0),
        make("SequenceInsert", ["list", "longer"], ["more"]),
    ]
    going = helper.make_tensor_value_info("going", TensorProto.BOOL, [])
    graph = body(
        nodes,
        [iteration, goes_on, floats("t"), helper.make_value_info("list", SEQUENCE)],
        [going, floats("longer"), helper.make_value_info("more", SEQUENCE)],
    )
    outer = [
        make("SequenceEmpty", [], ["none"]),
        make("Loop", ["trip", "yes", "x", "none"], ["last", "all"], body=graph),
        make("ConcatFromSequence", ["all"], ["out"], axis=0),
    ]
    feeds = {"x": random(2, 3)}
    proto = model(outer, feeds, ["out", "last"], weights={"trip": number(3), "yes": np.array(True)})
    agrees(proto, feeds)
    proto.graph.initializer[0].CopyFrom(helper.make_tensor("trip", TensorProto.INT64, [], [1000]))
    with pytest.raises(UnsupportedError, match="a carried value changes from"):
        imported(proto)


def test_loop_over_the_elements() -> None:
    """Its counter tells which; the number of iterations is the sequence's length."""
    graph = body(
        [
            make("SequenceAt", ["parts", "i"], ["part"]),
            make("Add", ["t", "part"], ["sum"]),
            make("Identity", ["on"], ["going"]),
        ],
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            floats("t"),
        ],
        [helper.make_tensor_value_info("going", TensorProto.BOOL, []), floats("sum")],
    )
    nodes = [
        make("SplitToSequence", ["x", "size"], ["parts"], axis=1),
        make("SequenceLength", ["parts"], ["count"]),
        make("Loop", ["count", "yes", "zero"], ["out"], body=graph),
    ]
    feeds = {"x": random(3, 8)}
    weights = {"size": number(2), "yes": np.array(True), "zero": np.zeros((3, 2), np.float32)}
    agrees(model(nodes, feeds, ["out"], weights=weights), feeds)


def test_map() -> None:
    graph = body(
        [make("Mul", ["e", "factor"], ["m"]), make("Add", ["m", "x"], ["s"])],
        [floats("e"), floats("factor")],
        [floats("s"), floats("m")],
    )
    nodes = [
        make("SequenceConstruct", ["x", "y"], ["two"]),
        make("SequenceMap", ["two", "y"], ["sums", "products"], body=graph),
        make("ConcatFromSequence", ["sums"], ["out"], axis=0),
        make("ConcatFromSequence", ["products"], ["other"], axis=0, new_axis=1),
    ]
    feeds = {"x": random(2, 3), "y": random(2, 3, seed=1)}
    got = run(model(nodes, feeds, ["out", "other"]), feeds)
    x, y = feeds["x"], feeds["y"]
    np.testing.assert_allclose(got["out"], np.concatenate([x * y + x, y * y + x]), rtol=1e-6)
    np.testing.assert_allclose(got["other"], np.stack([x * y, y * y]), rtol=1e-6)


def test_optionals() -> None:
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, [2, 3])
    nodes = [
        make("Optional", ["x"], ["full"]),
        make("OptionalHasElement", ["full"], ["has"]),
        make("OptionalGetElement", ["full"], ["held"]),
        make("Neg", ["held"], ["out"]),
        make("Optional", [], ["empty"], type=kind),
        make("OptionalHasElement", ["empty"], ["lacks"]),
        make("SequenceConstruct", ["x", "out"], ["two"]),
        make("Optional", ["two"], ["list"]),
        make("OptionalGetElement", ["list"], ["again"]),
        make("ConcatFromSequence", ["again"], ["joined"], axis=1),
    ]
    feeds = {"x": random(2, 3)}
    agrees(model(nodes, feeds, ["out", "has", "lacks", "joined"], opset=18), feeds)


@pytest.mark.parametrize("empty", [False, True])
def test_a_branch_by_what_an_optional_holds(empty: bool) -> None:
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, [2, 3])
    then = body([make("OptionalGetElement", ["maybe"], ["a"])], [], [floats("a")])
    otherwise = body([make("Neg", ["x"], ["b"])], [], [floats("b")])
    nodes = [
        make("Optional", [], ["maybe"], type=kind) if empty else make("Optional", ["x"], ["maybe"]),
        make("OptionalHasElement", ["maybe"], ["has"]),
        make("If", ["has"], ["out"], then_branch=then, else_branch=otherwise),
    ]
    feeds = {"x": random(2, 3)}
    got = run(model(nodes, feeds, ["out"], opset=18), feeds)
    np.testing.assert_array_equal(got["out"], -feeds["x"] if empty else feeds["x"])


def test_sizes_may_be_symbols_where_the_number_of_parts_is_known() -> None:
    nodes = [
        make("SplitToSequence", ["x"], ["rows"], axis=0, keepdims=0),
        make("SequenceAt", ["rows", "place"], ["out"]),
    ]
    feeds = {"x": random(3, 4)}
    proto = model(nodes, feeds, ["out"], weights={"place": number(1)}, shapes={"x": [3, "n"]})
    assert [str(d) for d in imported(proto).outputs[0].shape] == ["n"]
    pairs = [make("SplitToSequence", ["x", "two"], ["rows"], axis=0), nodes[1]]
    weights = {"place": number(1), "two": number(2)}
    with pytest.raises(UnsupportedError, match="how many parts of 2 a size of n"):
        imported(model(pairs, feeds, ["out"], weights=weights, shapes={"x": ["n", 4]}))


def test_what_stays_refused() -> None:
    feeds = {"x": random(3, 4)}
    split = make("SplitToSequence", ["x"], ["rows"])
    parts = make("SplitToSequence", ["x", "sizes"], ["rows"])
    at = make("SequenceAt", ["rows", "place"], ["out"], name="at")
    sizes = {"sizes": np.array([1, 2])}
    with pytest.raises(UnsupportedError, match="their shapes differ"):
        imported(model([parts, at], {**feeds, "place": number(1)}, ["out"], weights=sizes))
    erase = make("SequenceErase", ["rows", "place"], ["left"])
    joined = make("ConcatFromSequence", ["left"], ["out"], axis=0)
    with pytest.raises(UnsupportedError, match="position in the sequence"):
        imported(model([split, erase, joined], {**feeds, "place": number(1)}, ["out"]))
    nodes = [
        make("Concat", ["x", "x"], ["y"], axis=0),
        make("IsNaN", ["f"], ["c"]),
        make("If", ["c"], ["list"], then_branch=rows("x"), else_branch=rows("y")),
        make("ConcatFromSequence", ["list"], ["out"], axis=0),
    ]
    with pytest.raises(UnsupportedError, match="sequences of unlike lengths"):
        imported(model(nodes, {**feeds, "f": np.array(1, np.float32)}, ["out"]))


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (make("SequenceAt", ["rows", "far"], ["out"]), "position 3 in a sequence of 3"),
        (make("SequenceErase", ["x"], ["out"]), "input 0 is no sequence"),
        (make("Relu", ["rows"], ["out"]), "input 0 is a sequence, not a tensor"),
        (make("ConcatFromSequence", ["rows"], ["out"], axis=2), "axis 2"),
    ],
)
def test_what_breaks_the_rules(node: Any, message: str) -> None:
    feeds = {"x": random(3, 4)}
    nodes = [make("SplitToSequence", ["x"], ["rows"]), node]
    with pytest.raises(ModelError, match=message):
        imported(model(nodes, feeds, ["out"], weights={"far": number(3)}))
