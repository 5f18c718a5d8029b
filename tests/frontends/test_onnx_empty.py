"""Inputs without elements: which sizes may be 0, and what models give then, as ONNX Runtime does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, helper

import pyruntime
from pyruntime.errors import InputError
from pyruntime.ir.dims import bounds
from tests.frontends.on_devices import DEVICES, Device, on_device
from tests.frontends.onnx_models import Array, imported, model, one_node, random, run, runtime, same

make = helper.make_node
Shapes = dict[str, list[int | str | None]]


def least(proto: ModelProto) -> dict[str, int | None]:
    """The smallest size of each symbol of the inputs' shapes."""
    return {str(d): bounds(d)[0] for v in imported(proto).inputs for d in v.shape if not isinstance(d, int)}


def network() -> ModelProto:
    """Convolutions, a flattening and a dense layer, as image classifiers end; and sums over the batch."""
    nodes = [
        make("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2]),
        make("Relu", ["c"], ["r"]),
        make("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        make("Flatten", ["p"], ["f"]),
        make("Gemm", ["f", "d", "b"], ["g"]),
        make("LayerNormalization", ["g", "b"], ["n"]),
        make("Softmax", ["n"], ["y"], axis=1),
        make("ReduceSum", ["y", "first"], ["sum"]),
        make("ReduceMax", ["y"], ["most"], axes=[0], keepdims=0),
        make("Transpose", ["y"], ["t"], perm=[1, 0]),
        make("MatMul", ["t", "y"], ["gram"]),
        make("ArgMax", ["y"], ["best"], axis=1),
    ]
    weights = {"w": random(5, 3, 3, 3), "d": random(20, 4, seed=1), "b": random(4, seed=2)}
    weights["first"] = np.array([0])
    outputs = ["y", "sum", "most", "gram", "best"]
    feeds = {"x": random(1, 3, 8, 8)}
    return model(nodes, feeds, outputs, weights=weights, shapes={"x": ["batch", 3, 8, 8]})


def attention() -> ModelProto:
    """Queries against keys of another number."""
    nodes = [
        make("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        make("MatMul", ["q", "kt"], ["s"]),
        make("Softmax", ["s"], ["p"], axis=-1),
        make("MatMul", ["p", "k"], ["y"]),
        make("Concat", ["k", "q"], ["both"], axis=1),
        make("CumSum", ["both", "axis"], ["sums"]),
    ]
    feeds = {"q": random(1, 2, 4), "k": random(1, 2, 4)}
    shapes: Shapes = {"q": ["b", "m", 4], "k": ["b", "n", 4]}
    return model(nodes, feeds, ["y", "sums"], weights={"axis": np.array(1)}, shapes=shapes)


@pytest.mark.parametrize("device", DEVICES)
def test_a_batch_of_none(device: Device, tmp_path: Path) -> None:
    feeds = {"x": random(0, 3, 8, 8)}
    with np.errstate(all="ignore"):
        got = on_device(network(), feeds, device, tmp_path)
    same(got, runtime(network(), feeds))
    with pyruntime.load(tmp_path / "model.pack", device=device) as session:
        for size in (3, 0, 1):  # sizes follow one another in one session
            feeds = {"x": random(size, 3, 8, 8)}
            same(session.run(feeds), runtime(network(), feeds), 1e-4)


@pytest.mark.parametrize("device", DEVICES)
def test_one_size_of_several(device: Device, tmp_path: Path) -> None:
    assert least(attention()) == {"b": 0, "m": 0, "n": 0}
    made = {"q": random(2, 3, 4), "k": random(2, 5, 4)}
    on_device(attention(), made, device, tmp_path)
    with pyruntime.load(tmp_path / "model.pack", device=device) as session:
        for b, m, n in ((0, 3, 5), (2, 0, 5), (2, 3, 0), (2, 3, 5), (0, 0, 0)):
            feeds = {"q": random(b, m, 4), "k": random(b, n, 4)}
            same(session.run(feeds), runtime(attention(), feeds), 1e-4)


def test_the_program_is_no_other() -> None:
    """A size that decides something stays at least 1, and all that hangs on it known; others may be 0."""
    nodes = [
        make("Slice", ["x", "from", "to", "axis"], ["last"]),
        make("Relu", ["last"], ["y"]),
    ]
    weights = {"from": np.array([-1]), "to": np.array([2**31 - 1]), "axis": np.array([1])}
    shapes: Shapes = {"x": ["batch", "seq", 4]}
    proto = model(nodes, {"x": random(2, 3, 4)}, ["y"], weights=weights, shapes=shapes)
    assert least(proto) == {"batch": 0, "seq": 1}
    assert str(imported(proto).outputs[0].shape) == "(batch, 1, 4)"


INDEX = {"i": np.array([0])}
KERNEL = {"w": random(2, 3, 3, 3)}
SIZES = {"r": np.zeros(0, np.float32), "s": np.zeros(0, np.float32), "z": np.array([1, 1, 8, 8])}


@pytest.mark.parametrize(
    ("op", "shape", "sizes", "weights", "attrs", "expected"),
    [
        ("ArgMax", ["n", "m"], (2, 3), {}, {"axis": 0}, {"n": 1, "m": 0}),
        ("Gather", ["n", "m"], (2, 3), INDEX, {}, {"n": 1, "m": 0}),
        ("Pad", ["n", "m"], (2, 3), {"p": np.array([1, 0, 1, 0])}, {"mode": "edge"}, {"n": 1, "m": 0}),
        ("Pad", ["n", "m"], (2, 3), {"p": np.array([1, 0, 1, 0])}, {}, {"n": 0, "m": 0}),
        ("Conv", ["n", 3, "h", "w"], (1, 3, 4, 4), KERNEL, {}, {"n": 0, "h": 3, "w": 3}),
        ("Resize", [1, 1, "h", "w"], (1, 1, 4, 4), SIZES, {}, {"h": 1, "w": 1}),
        ("TopK", ["n", "m"], (4, 3), {"k": np.array([2])}, {"axis": 0}, {"n": 1, "m": 0}),
        ("NonZero", ["n", "m"], (2, 3), {}, {}, {"n": 0, "m": 0}),
    ],
)
def test_what_nothing_has(
    op: str,
    shape: list[int | str | None],
    sizes: Sequence[int],
    weights: Mapping[str, Array],
    attrs: Mapping[str, Any],
    expected: Mapping[str, int],
) -> None:
    outputs = ("out", "at") if op == "TopK" else ("out",)
    proto = one_node(
        op, {"x": random(*sizes)}, shapes={"x": shape}, weights=weights, outputs=outputs, **attrs
    )
    assert least(proto) == expected


@pytest.mark.wasm
def test_sizes_that_must_be_one(tmp_path: Path) -> None:
    proto = one_node("ArgMax", {"x": random(2, 3)}, shapes={"x": ["n", "m"]}, axis=0)
    with pytest.raises(InputError, match=r"axis 0 \(n\) must be at least 1"):
        on_device(proto, {"x": random(0, 3)}, "wasm", tmp_path)
    same(on_device(proto, {"x": random(2, 0)}, "wasm", tmp_path), runtime(proto, {"x": random(2, 0)}))


@pytest.mark.parametrize("device", DEVICES)
def test_what_data_select_of_none(device: Device, tmp_path: Path) -> None:
    nodes = [
        make("NonZero", ["x"], ["at"]),
        make("Scan", ["zero", "x"], ["sum", "sums"], body=adding(), num_scan_inputs=1),
    ]
    feeds = {"x": random(0, 3)}
    weights = {"zero": random(3)}
    proto = model(nodes, feeds, ["at", "sum", "sums"], weights=weights, shapes={"x": ["n", 3]})
    assert least(proto) == {"n": 0}
    got = on_device(proto, feeds, device, tmp_path)  # ONNX Runtime scans nothing but what has elements
    same(
        got, {"at": np.empty((2, 0), np.int64), "sum": weights["zero"], "sums": np.empty((0, 3), np.float32)}
    )


def adding() -> Any:
    declared = [helper.make_tensor_value_info(n, 1, [3]) for n in ("s", "x_in", "t", "u")]
    return helper.make_graph(
        [make("Add", ["s", "x_in"], ["t"]), make("Identity", ["t"], ["u"])],
        "body",
        declared[:2],
        declared[2:],
    )


def test_axes_that_a_reshape_copies_say_nothing_of_the_rest() -> None:
    """Also where there are no elements to divide, which ONNX Runtime refuses."""
    feeds = {"x": random(0, 6, 4)}
    both: tuple[Shapes | None, ...] = (None, {"x": ["n", 6, 4]})
    for shapes in both:
        proto = one_node("Reshape", feeds, weights={"s": np.array([0, 0, 2, -1])}, shapes=shapes)
        assert run(proto, feeds)["out"].shape == (0, 6, 2, 2)
    node = make("RotaryEmbedding", ["x", "cos", "sin"], ["y"], num_heads=2, interleaved=1)
    angles = {"cos": random(0, 6, 1), "sin": random(0, 6, 1)}
    same(
        run(model([node], {**feeds, **angles}, ["y"], opset=23, ir_version=10), {**feeds, **angles}),
        {"y": random(0, 6, 4)},
    )
