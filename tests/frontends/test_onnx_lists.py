"""Sequences and optionals that are fed and given: lists in sessions, and what ONNX Runtime gives for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, TypeProto, helper
from pyruntime_converter.frontends.onnx import read
from pyruntime_converter.options import Told

import pyruntime
from pyruntime.errors import InputError, OptionError, UnsupportedError
from pyruntime.runtime.tensors import ListSpec
from tests.frontends.on_devices import DEVICES, Device, on_device
from tests.frontends.onnx_models import Array, random, reference, runtime

make = helper.make_node
Feeds = dict[str, Any]


def tensor(shape: Sequence[int | str] | None, dtype: int = TensorProto.FLOAT) -> TypeProto:
    return helper.make_tensor_type_proto(dtype, shape)


def sequence(shape: Sequence[int | str] | None = None) -> TypeProto:
    return helper.make_sequence_type_proto(tensor(shape))


def optional(held: TypeProto) -> TypeProto:
    return helper.make_optional_type_proto(held)


def listed(
    nodes: Sequence[NodeProto], inputs: Mapping[str, TypeProto], outputs: Mapping[str, TypeProto]
) -> ModelProto:
    fed, given = ([helper.make_value_info(n, t) for n, t in each.items()] for each in (inputs, outputs))
    graph = helper.make_graph(nodes, "test", fed, given)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def same(got: Any, wanted: Any) -> None:
    """Lists of as many tensors, tensors of equal dtype, shape and elements, or nothing."""
    if isinstance(wanted, Mapping):
        assert list(got) == list(wanted)
        for name, value in wanted.items():
            same(got[name], value)
    elif isinstance(wanted, list):
        assert isinstance(got, list)
        assert len(got) == len(wanted)
        for one, other in zip(got, wanted, strict=True):
            same(one, other)
    elif wanted is None:
        assert got is None
    else:
        assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
        np.testing.assert_allclose(got, wanted, rtol=1e-6)


def sums() -> ModelProto:
    """Adds sequences element by element; gives how many there are, too, and one more at the end."""
    item = [helper.make_value_info(n, tensor(["n"])) for n in "ab"]
    body = helper.make_graph(
        [make("Add", ["a", "b"], ["c"])], "body", item, [helper.make_value_info("c", tensor(["n"]))]
    )
    nodes = [
        make("SequenceMap", ["x", "y"], ["added"], body=body),
        make("SequenceInsert", ["added", "t"], ["z"]),
        make("SequenceLength", ["z"], ["count"]),
        make("Neg", ["t"], ["u"]),
    ]
    inputs = {"x": sequence(["n"]), "t": tensor(["m"]), "y": sequence(["n"])}
    return listed(
        nodes, inputs, {"u": tensor(["m"]), "z": sequence(["n"]), "count": tensor([], TensorProto.INT64)}
    )


def lists(*sizes: int, seed: int = 0) -> list[Array]:
    return [random(s, seed=seed + i) for i, s in enumerate(sizes)]


@pytest.mark.parametrize("device", DEVICES)
def test_elements_of_unlike_sizes(device: Device, tmp_path: Path) -> None:
    feeds: Feeds = {"x": lists(6, 1, 4), "t": random(2), "y": lists(6, 1, 4, seed=9)}
    got = on_device(sums(), feeds, device, tmp_path, elements={"x": 3, "y": 3})
    same(got, runtime(sums(), feeds))
    with pyruntime.load(tmp_path / "model.pack", device=device) as session:
        assert [s.name for s in session.inputs] == ["x[0]", "x[1]", "x[2]", "t", "y[0]", "y[1]", "y[2]"]
        assert [s.name for s in session.outputs] == ["u", "z[0]", "z[1]", "z[2]", "z[3]", "count"]
        assert session.lists == (
            ListSpec("x", "inputs", 0, 3),
            ListSpec("y", "inputs", 4, 3),
            ListSpec("z", "outputs", 1, 4),
        )
        again: Feeds = {"x": lists(3, 3, 5), "t": random(1), "y": lists(3, 3, 5, seed=9)}
        same(session.run(again), runtime(sums(), again))
        apart = {"t": again["t"], "y": again["y"]} | {f"x[{i}]": a.tolist() for i, a in enumerate(again["x"])}
        same(session.run(apart), session.run(again))


@pytest.mark.parametrize("device", DEVICES)
def test_no_elements(device: Device, tmp_path: Path) -> None:
    feeds: Feeds = {"x": [], "t": random(2), "y": []}
    got = on_device(sums(), feeds, device, tmp_path, elements={"x": 0, "y": 0})
    same(got, {"u": -feeds["t"], "z": [feeds["t"]], "count": np.array(1)})
    with pyruntime.load(tmp_path / "model.pack", device=device) as session:
        same(session.run({"t": feeds["t"]}), got)


@pytest.mark.parametrize("device", DEVICES)
def test_shapes_that_the_user_tells(device: Device, tmp_path: Path) -> None:
    nodes = [make("ConcatFromSequence", ["x"], ["joined"], axis=0), make("Identity", ["x"], ["y"])]
    proto = listed(nodes, {"x": sequence()}, {"y": sequence(), "joined": tensor(None)})
    feeds: Feeds = {"x": [random(2, 3), random(5, 3, seed=1), random(1, 3, seed=2)]}
    told = {"x": [[2, 3], ["rows", 3], ["rest", 3]]}
    same(on_device(proto, feeds, device, tmp_path, elements=told), runtime(proto, feeds))
    with pytest.raises(InputError, match=r"input 'x\[0\]': expected float32 of shape \(2, 3\)"):
        on_device(proto, {"x": feeds["x"][::-1]}, device, tmp_path, elements=told)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("held", [tensor([4]), sequence([4])], ids=["tensor", "sequence"])
def test_optionals(device: Device, held: TypeProto, tmp_path: Path) -> None:
    nodes = [make("OptionalHasElement", ["o"], ["has"]), make("Identity", ["o"], ["p"])]
    flag = {"has": tensor([], TensorProto.BOOL)}
    proto = listed(nodes, {"o": optional(held)}, {**flag, "p": optional(held)})
    array = random(4)
    value = array if held.HasField("tensor_type") else [array]
    wanted = {"has": np.array(True), "p": value}
    same(on_device(proto, {"o": value}, device, tmp_path, elements={"o": 1}), wanted)
    same(reference(proto, {"o": value}), wanted)
    absent = {"has": np.array(False), "p": None}
    for feeds in ({}, {"o": None}):
        same(on_device(proto, feeds, device, tmp_path, elements={"o": None}), absent)
    with pytest.raises(InputError, match="made for its absence"):
        on_device(proto, {"o": value}, device, tmp_path, elements={"o": None})


def split() -> ModelProto:
    """Parts of a size that is fed."""
    nodes = [make("SplitToSequence", ["x", "size"], ["parts"], axis=1)]
    inputs = {"x": tensor(["n", 7]), "size": tensor([], TensorProto.INT64)}
    return listed(nodes, inputs, {"parts": sequence()})


@pytest.mark.parametrize("device", DEVICES)
def test_values(device: Device, tmp_path: Path) -> None:
    feeds = {"x": random(2, 7), "size": np.array(3)}
    wanted = runtime(split(), feeds)
    assert len(wanted["parts"]) == 3
    same(on_device(split(), feeds, device, tmp_path, values={"size": 3}), wanted)
    with pyruntime.load(tmp_path / "model.pack", device=device) as session:
        same(session.run({"x": feeds["x"]}), wanted)
        with pytest.raises(InputError, match="the model was converted for size = 3; given"):
            session.run({**feeds, "size": np.array(2)})


@pytest.mark.parametrize("device", DEVICES)
def test_parts_whose_sizes_are_fed(device: Device, tmp_path: Path) -> None:
    nodes = [
        make("SplitToSequence", ["x", "sizes"], ["parts"]),
        make("SequenceLength", ["parts"], ["count"]),
    ]
    inputs = {"x": tensor(["n", 2]), "sizes": tensor([3], TensorProto.INT64)}
    proto = listed(nodes, inputs, {"parts": sequence(), "count": tensor([], TensorProto.INT64)})
    made = {"x": random(7, 2), "sizes": np.array([2, 4, 1])}
    same(on_device(proto, made, device, tmp_path), runtime(proto, made))
    with pyruntime.load(tmp_path / "model.pack", device=device) as session:
        for sizes in ([0, 7, 0], [1, 0, 0], [3, 3, 3]):
            feeds = {"x": random(sum(sizes), 2), "sizes": np.array(sizes)}
            same(session.run(feeds), runtime(proto, feeds))
        for sizes in ([2, 4, 2], [-1, 4, 4]):
            with pytest.raises(InputError, match="must"):
                session.run({**made, "sizes": np.array(sizes)})


def test_values_of_several_elements() -> None:
    nodes = [make("ReduceSum", ["x", "axes"], ["y"], keepdims=0)]
    inputs = {"x": tensor([2, 3, 4]), "axes": tensor([2], TensorProto.INT64)}
    proto = listed(nodes, inputs, {"y": tensor(None)}).SerializeToString()
    graph = read(proto, told=Told(values={"axes": [0, 2]}))
    assert graph.outputs[0].shape == (3,)
    assert [v.name for v in graph.inputs] == ["x", "axes"]
    assert graph.defaults == {}
    assert len(graph.constraints) == 1


LISTS = listed(
    [make("SequenceInsert", ["x", "t"], ["y"])], {"x": sequence(), "t": tensor([3])}, {"y": sequence()}
)
KNOWN = listed(
    [make("SequenceInsert", ["x", "t"], ["y"])],
    {"x": sequence([3, "n"]), "t": tensor([3, 1])},
    {"y": sequence()},
)
MAYBE = listed([make("Identity", ["x"], ["y"])], {"x": optional(tensor([3]))}, {"y": optional(tensor([3]))})
NESTED = listed(
    [make("Identity", ["x"], ["y"])],
    {"x": helper.make_sequence_type_proto(sequence())},
    {"y": helper.make_sequence_type_proto(sequence())},
)


@pytest.mark.parametrize(
    ("proto", "told", "error", "message"),
    [
        (LISTS, Told(), UnsupportedError, r"'x': it is a sequence.*--elements x=1"),
        (MAYBE, Told(), UnsupportedError, "'x': it is an optional.*None if it is absent"),
        (NESTED, Told(elements={"x": 1}), UnsupportedError, "it holds a sequence, not tensors"),
        (LISTS, Told(elements={"x": 2}), UnsupportedError, "does not tell the shapes of its tensors"),
        (LISTS, Told(elements={"x": [[2], ["n"]], "z": 1}), OptionError, "no input 'z' is a sequence or opt"),
        (LISTS, Told(elements={"t": 1}), OptionError, "'t' is a sequence or optional; those that are: x"),
        (LISTS, Told(elements={"x": -1}), OptionError, "'x' is -1; give how many"),
        (LISTS, Told(elements={"x": True}), OptionError, "'x' is True; give how many"),
        (LISTS, Told(elements={"x": [[-1]]}), OptionError, "the shape of each"),
        (LISTS, Told(elements={"x": [["a b"]]}), OptionError, "the shape of each"),
        (LISTS, Told(elements={"x": None}), OptionError, "'x' is a sequence; give a number"),
        (KNOWN, Told(elements={"x": [[4, 1]]}), OptionError, r"shape \[3, \?\], not \[4, 1\]"),
        (KNOWN, Told(elements={"x": [[3]]}), OptionError, r"shape \[3, \?\], not \[3\]"),
        (MAYBE, Told(elements={"x": 2}), OptionError, "'x' is an optional tensor; give 1"),
        (LISTS, Told(values={"x": 1}), OptionError, "values: no input 'x' is a tensor; those that are: t"),
        (LISTS, Told(elements={"x": 0}, values={"t": [1, 2, 3]}), OptionError, "integers and bools"),
        (split(), Told(values={"size": [3]}), OptionError, r"int64\[\], and \[3\] is not"),
        (split(), Told(values={"size": 1.5}), OptionError, "1.5 is not"),
        (split(), Told(values={"size": 2**70}), OptionError, "is not"),
    ],
)
def test_what_is_told_wrongly(proto: ModelProto, told: Told, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read(proto.SerializeToString(), told=told)


@pytest.mark.wasm
def test_feeds_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(LISTS.SerializeToString())
    pyruntime.convert(tmp_path / "m.onnx", tmp_path / "m", targets=("wasm",), elements={"x": [[2], ["n"]]})
    good: Feeds = {"x": [random(2), random(5)], "t": random(3)}
    with pyruntime.load(tmp_path / "m", device="wasm") as session:
        for feeds, message in (
            ({**good, "x": np.zeros((2, 2), np.float32)}, "'x': expected a list of 2 tensors, got ndarray"),
            ({**good, "x": good["x"][:1]}, "'x': the pack takes a list of 2 tensors, got 1;"),
            ({**good, "x": None}, "'x': expected a list of 2 tensors, got NoneType"),
            ({**good, "x": [random(2), np.zeros(5)]}, r"input 'x\[1\]': expected float32"),
            ({"t": good["t"]}, "input 'x' is missing; the inputs are 'x', 't'"),
            ({**good, "y": good["x"]}, "there is no input 'y'"),
        ):
            with pytest.raises(InputError, match=message):
                session.run(feeds)
