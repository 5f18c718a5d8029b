"""Models made to do harm are refused with what is wrong, and a sample of damaged ones does none."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import pytest
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tests.hostile.__main__ import inputs
from tests.hostile.findings import Findings, Input
from tests.hostile.manifests import FIELDS
from tests.hostile.packs import Original, damaged, originals
from tests.hostile.worker import SECONDS, Task, Worker

SAMPLE = 600
PACKS = 300
CHANGED = 2000
node = helper.make_node


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """The process that converts."""
    running = Worker()
    yield running
    running.close()


def integers(name: str, *values: int) -> TensorProto:
    """A weight of int64."""
    return numpy_helper.from_array(np.array(values, np.int64), name)


def graph(*nodes: NodeProto, output: str = "y", weights: tuple[TensorProto, ...] = ()) -> GraphProto:
    """A graph without inputs."""
    return helper.make_graph(
        list(nodes), "g", [], [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)], list(weights)
    )


def model(*nodes: NodeProto, weights: tuple[TensorProto, ...] = ()) -> ModelProto:
    """A model from x to y."""
    made = graph(*nodes, weights=weights)
    made.input.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, [2]))
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)])


def cycle() -> bytes:
    """Two nodes that read each other's results."""
    nodes = [node("Add", ["x", "b"], ["a"]), node("Neg", ["a"], ["b"]), node("Neg", ["a"], ["y"])]
    return model(*nodes).SerializeToString()


def branches() -> bytes:
    """If in If, with 2^10 branches: every level holds the one below twice."""
    inner = graph(node("Neg", ["x"], ["z"]), output="z")
    for _ in range(9):
        inner = graph(node("If", ["c"], ["z"], then_branch=inner, else_branch=inner), output="z")
    made = model(node("If", ["c"], ["y"], then_branch=inner, else_branch=inner))
    made.graph.input.append(helper.make_tensor_value_info("c", TensorProto.BOOL, []))
    return made.SerializeToString()


def depth() -> bytes:
    """Messages in messages, 6,000 deep, written by hand: protobuf's own encoder would not."""

    def message(field: int, content: bytes) -> bytes:
        size, length = len(content), b""
        while size > 127:
            length, size = length + bytes([size & 127 | 128]), size >> 7
        return bytes([field << 3 | 2]) + length + bytes([size]) + content

    content = b""
    for _ in range(2_000):
        content = message(
            1, message(5, message(6, content))
        )  # a graph's node, its attribute, that one's graph
    return message(7, content)


def functions() -> bytes:
    """Functions that call each other."""
    made = model(node("A", ["x"], ["y"], domain="f"))
    made.opset_import.append(helper.make_opsetid("f", 1))
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("f", 1)]
    for name, other in (("A", "B"), ("B", "A")):
        body = [node(other, ["i"], ["o"], domain="f")]
        made.functions.append(helper.make_function("f", name, ["i"], ["o"], body, opsets))
    return made.SerializeToString()


def expanding(levels: int = 60) -> bytes:
    """Functions of which each calls the next one twice: 2^60 nodes."""
    made = model(node("f0", ["x"], ["y"], domain="f"))
    made.opset_import.append(helper.make_opsetid("f", 1))
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("f", 1)]
    for i in range(levels):
        body = [node(f"f{i + 1}", ["i"], ["m"], domain="f"), node(f"f{i + 1}", ["m"], ["o"], domain="f")]
        made.functions.append(helper.make_function("f", f"f{i}", ["i"], ["o"], body, opsets))
    made.functions.append(
        helper.make_function("f", f"f{levels}", ["i"], ["o"], [node("Neg", ["i"], ["o"])], opsets)
    )
    return made.SerializeToString()


def opset(version: int, of_function: bool = False) -> Callable[[], bytes]:
    """A version of an operator set that is none: past what any number of a version can be, or below."""

    def make() -> bytes:
        made = model(node("A", ["x"], ["y"], domain="f"))
        used = [helper.make_opsetid("", version if of_function else 21), helper.make_opsetid("f", 1)]
        body = [node("Neg", ["i"], ["o"])]
        made.functions.append(helper.make_function("f", "A", ["i"], ["o"], body, used))
        made.opset_import.append(helper.make_opsetid("f", 1 if of_function else version))
        return made.SerializeToString()

    return make


def lying_weight() -> bytes:
    """Four bytes that claim to be 2^60 floats."""
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2**30, 2**30], raw_data=bytes(4))
    return model(node("Add", ["x", "w"], ["y"]), weights=(weight,)).SerializeToString()


def wrapping_weight() -> bytes:
    """Dims whose product wraps to zero in 64 bits."""
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2**32, 2**32], raw_data=b"")
    return model(node("Add", ["x", "w"], ["y"]), weights=(weight,)).SerializeToString()


def huge_constant() -> bytes:
    """A shape that folding would fill with 2^50 zeros."""
    nodes = [
        node("ConstantOfShape", ["s"], ["h"]),
        node("ReduceSum", ["h"], ["t"]),
        node("Add", ["x", "t"], ["y"]),
    ]
    return model(*nodes, weights=(integers("s", 2**25, 2**25),)).SerializeToString()


def huge_tile() -> bytes:
    """A weight that is tiled to 2^60 elements."""
    nodes = [node("Tile", ["w", "n"], ["h"]), node("ReduceMax", ["h"], ["t"]), node("Add", ["x", "t"], ["y"])]
    weights = (numpy_helper.from_array(np.ones(2, np.float32), "w"), integers("n", 2**59))
    return model(*nodes, weights=weights).SerializeToString()


def huge_pad() -> bytes:
    """An edge without end: an index for each of 2^40 places."""
    return model(
        node("Pad", ["x", "n"], ["y"], mode="edge"), weights=(integers("n", 2**40, 0),)
    ).SerializeToString()


def huge_transform() -> bytes:
    """Half a spectrum of 2^31 elements, which are to be counted one by one."""
    made = model(node("DFT", ["x"], ["y"], axis=1, inverse=1, onesided=1))
    made.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2**31, 10, 2]))
    made.opset_import[0].version = 19
    return made.SerializeToString()


def endless_loop() -> bytes:
    """A Loop of 2^62 iterations over nothing but constants."""
    body = helper.make_graph(
        [node("Identity", ["c"], ["d"]), node("Add", ["a", "a"], ["b"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("a", TensorProto.FLOAT, [2]),
        ],
        [
            helper.make_tensor_value_info("d", TensorProto.BOOL, []),
            helper.make_tensor_value_info("b", TensorProto.FLOAT, [2]),
        ],
    )
    trips = numpy_helper.from_array(np.array(2**62, np.int64), "m")
    start = numpy_helper.from_array(np.ones(2, np.float32), "s")
    nodes = [node("Loop", ["m", "", "s"], ["z"], body=body), node("Add", ["x", "z"], ["y"])]
    return model(*nodes, weights=(trips, start)).SerializeToString()


def fed_slice(rank: int = 6) -> bytes:
    """All of a Slice is fed: what is left of each axis hangs on every part, whichever of them is of it."""
    fed = ("starts", "ends", "axes", "steps")
    made = model(node("Slice", ["x", *fed], ["y"]))
    made.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, range(5, 5 + rank)))
    made.graph.input.extend(helper.make_tensor_value_info(n, TensorProto.INT64, [rank]) for n in fed)
    return made.SerializeToString()


def external(location: str) -> Callable[[], bytes]:
    """A weight in a file outside the model's folder."""

    def make() -> bytes:
        weight = TensorProto(
            name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL
        )
        weight.external_data.add(key="location", value=location)
        return model(node("Add", ["x", "w"], ["y"]), weights=(weight,)).SerializeToString()

    return make


REFUSED: dict[str, tuple[Callable[[], bytes], tuple[str, ...]]] = {
    "cycle": (cycle, ("model-invalid",)),
    "deep messages": (depth, ("model-invalid",)),
    "functions that call each other": (functions, ("model-invalid",)),
    "functions that expand": (expanding, ("model-invalid",)),
    "opset past 32 bits": (opset(2**40), ("model-invalid",)),
    "function's opset past 32 bits": (opset(2**40, True), ("unsupported",)),
    "function's opset below all": (opset(-(2**40), True), ("model-invalid",)),
    "weight that lies": (lying_weight, ("model-invalid",)),
    "weight that wraps": (wrapping_weight, ("model-invalid",)),
    "data at a path upwards": (external("../secret"), ("model-invalid",)),
    "data at a root": (external("/etc/passwd"), ("model-invalid",)),
    "data at a device": (external("/dev/zero"), ("model-invalid",)),
    "data at a long name": (external("é" * 300), ("model-invalid",)),
    "data at no name": (external("a\0b"), ("model-invalid",)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(worker: Worker, name: str) -> None:
    make, codes = REFUSED[name]
    outcome = worker.convert(make())
    assert outcome.kind in codes, outcome.reason


LARGE = (branches, huge_constant, huge_tile, huge_pad, huge_transform, endless_loop, fed_slice)


@pytest.mark.parametrize("make", LARGE)
def test_in_time(worker: Worker, make: Callable[[], bytes]) -> None:
    """What is valid, and larger than it looks, converts or is refused, at once and in little memory."""
    outcome = worker.convert(make())
    assert outcome.kind in ("converted", "unsupported", "model-invalid"), outcome.reason


def test_names_are_no_paths(worker: Worker) -> None:
    """Nodes, weights and outputs may be called anything; files are not named after them."""
    weight = numpy_helper.from_array(np.ones(2, np.float32), "../../w")
    made = model(node("Add", ["x", "../../w"], ["y"], name='/../"*/ #error\n'), weights=(weight,))
    made.graph.name = "../../escaped"
    assert worker.convert(made.SerializeToString(), compile_=True, seconds=60).kind == "converted"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Original]:
    """Packs to damage."""
    return originals(tmp_path_factory.mktemp("packs"))


def test_every_field_of_the_schema_is_damaged(whole: list[Original]) -> None:
    assert set().union(*(each.fields for each in whole)) == FIELDS
    draw = random.Random(0)
    changed = {name for _ in range(CHANGED) for name in damaged(whole, draw).fields}
    assert changed == FIELDS


@pytest.mark.wasm
def test_damaged_packs(worker: Worker, whole: list[Original]) -> None:
    draw = random.Random(0)
    found = Findings()
    for _ in range(PACKS):
        made = damaged(whole, draw)
        each = Input(made.kind, Task("wasm", made.files, made.own), SECONDS, made.fields)
        found.add(each, worker.do(each.task))
    assert not found.faults, found.faults
    assert len(found.fields) > len(FIELDS) / 2
    assert all(kind.became.total() > 10 for kind in found.kinds.values())


def test_damaged(worker: Worker) -> None:
    """As many as take half a minute: `python -m tests.hostile` tries more."""
    for number, data in enumerate(islice(inputs(seed=0), SAMPLE)):
        outcome = worker.convert(data)
        assert outcome.kind != "fault", f"input {number}: {outcome.reason}"
