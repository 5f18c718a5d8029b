"""Sequences of as many tensors as a run tells: what loops collect, and what is split index by index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from pyruntime.errors import InputError, UnsupportedError
from pyruntime.ops.run_graph import run_graph
from tests.frontends.on_devices import DEVICES, Device, on_device
from tests.frontends.onnx_models import Array, imported, model, random, runtime, same

SIZES = (5, 2, 1)


def node(op: str, *names: str, **attrs: Any) -> Any:
    return helper.make_node(op, list(names[:-1]), [names[-1]], **attrs)


def collecting(
    *,
    new: int = 1,
    axis: int = 0,
    by_data: bool = False,
    before: int = 0,
    given: tuple[str, ...] = ("stack",),
) -> ModelProto:
    """outputs = []; for row in x: h = tanh(h + row); outputs.append(h); as scripts write it."""
    ends = [node("ReduceSum", "h2", "sum", keepdims=0), node("Less", "sum", "most", "go")]
    nodes = [
        node("Gather", "x", "i", "row", axis=0),
        node("Add", "h", "row", "p"),
        node("Tanh", "p", "h2"),
        node("SequenceInsert", "seq", "h2", "seq2"),
        *(ends if by_data else [node("Identity", "on", "go")]),
    ]
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    inputs = [
        helper.make_tensor_value_info("i", TensorProto.INT64, []),
        helper.make_tensor_value_info("on", TensorProto.BOOL, []),
        helper.make_value_info("seq", helper.make_sequence_type_proto(tensor)),
        helper.make_tensor_value_info("h", TensorProto.FLOAT, None),
    ]
    results = [
        helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        helper.make_value_info("seq2", helper.make_sequence_type_proto(tensor)),
        helper.make_tensor_value_info("h2", TensorProto.FLOAT, None),
    ]
    body = helper.make_graph(nodes, "body", inputs, results)
    empty = [node("SequenceEmpty", "empty")]
    if before:
        empty = [helper.make_node("SequenceConstruct", ["z"] * before, ["empty"])]
    outer = [
        *empty,
        node("Shape", "x", "shape", end=1),
        node("Squeeze", "shape", "m"),
        helper.make_node("Loop", ["m", "true", "empty", "z"], ["all", "last"], body=body),
        node("ConcatFromSequence", "all", "stack", axis=axis, new_axis=new),
        node("SequenceLength", "all", "count"),
        node("SequenceAt", "all", "end", "final"),
    ]
    weights = {"true": np.array(True), "most": np.array(1.2, np.float32), "end": np.array(-1)}
    feeds = {"x": random(5, 2, 3, low=0), "z": random(2, 3)}
    return model(outer, feeds, list(given), opset=17, weights=weights, shapes={"x": ["n", 2, 3]})


def feeds_of(size: int) -> dict[str, Array]:
    return {"x": random(size, 2, 3, seed=size, low=0), "z": random(2, 3)}


@pytest.mark.parametrize("by_data", [False, True])
@pytest.mark.parametrize(("new", "axis"), [(1, 0), (1, 1), (1, -1), (0, 0), (0, 1)])
def test_what_loops_collect(new: int, axis: int, by_data: bool) -> None:
    given = ("stack", "count", "final", "last")
    proto = collecting(new=new, axis=axis, by_data=by_data, given=given)
    graph = imported(proto)
    for size in SIZES:
        same(run_graph(graph, feeds_of(size)), runtime(proto, feeds_of(size)))


@pytest.mark.parametrize("device", DEVICES)
def test_what_loops_collect_on_devices(device: Device, tmp_path: Path) -> None:
    proto = collecting(by_data=True, before=2)
    same(on_device(proto, feeds_of(5), device, tmp_path), runtime(proto, feeds_of(5)))


def parts(nodes: list[Any], axis: int, **attrs: Any) -> ModelProto:
    """x split along an axis index by index, and what nodes make of the sequence `all`."""
    split = helper.make_node("SplitToSequence", ["x"], ["all"], axis=axis, **attrs)
    weights = {"at": np.array(-1), "more": random(3 if axis else 4, seed=3)}
    shape: list[int | str | None] = [3, 4]
    shape[axis] = "n"
    return model(
        [split, *nodes], {"x": random(3, 4)}, ["out"], opset=17, weights=weights, shapes={"x": shape}
    )


@pytest.mark.parametrize("axis", [0, 1])
def test_splits_into_an_open_number(axis: int) -> None:
    nodes = [
        node("SequenceAt", "all", "at", "one"),
        node("SequenceInsert", "all", "more", "longer"),
        node("ConcatFromSequence", "longer", "whole", axis=0, new_axis=1),
        node("Add", "whole", "one", "out"),
    ]
    proto = parts(nodes, axis, keepdims=0)
    graph = imported(proto)
    for size in SIZES:
        feeds = {"x": random(*((size, 4) if axis == 0 else (3, size)))}
        same(run_graph(graph, feeds), runtime(proto, feeds))


@pytest.mark.parametrize("axis", [0, 1])
def test_splits_that_keep_their_axis(axis: int) -> None:
    proto = parts([node("ConcatFromSequence", "all", "out", axis=1 - axis)], axis, keepdims=1)
    graph = imported(proto)
    for size in SIZES:
        feeds = {"x": random(*((size, 4) if axis == 0 else (3, size)))}
        same(run_graph(graph, feeds), runtime(proto, feeds))


def test_positions_that_are_not_there_are_refused() -> None:
    proto = parts([node("SequenceAt", "all", "third", "out")], 0, keepdims=0)
    proto.graph.initializer.append(helper.make_tensor("third", TensorProto.INT64, [], [2]))
    graph = imported(proto)
    x = random(3, 4)
    same(run_graph(graph, {"x": x}), {"out": x[2]})
    with pytest.raises(InputError, match=r"SequenceAt .* a tensor at position 2 of n"):
        run_graph(graph, {"x": x[:2]})


def test_what_needs_a_known_number_is_refused() -> None:
    for nodes, message in (
        ([node("SequenceErase", "all", "less"), node("SequenceLength", "less", "out")], "not known"),
        (
            [node("SequenceInsert", "all", "more", "at", "longer"), node("SequenceLength", "longer", "out")],
            "not",
        ),
        ([node("Identity", "all", "out")], "put together"),
    ):
        with pytest.raises(UnsupportedError, match=message):
            imported(parts(nodes, 0, keepdims=0))
