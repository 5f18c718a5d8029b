"""Sizes that a model computes from those of its inputs in floats that round: a run learns them.

So torchvision's detectors bring images of any size to one that suits them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, helper
from pyruntime_converter.frontends.onnx.bounds import bound_of

import pyruntime
from pyruntime.errors import InputError, UnsupportedError
from pyruntime.ir.symbols import evaluate
from pyruntime.ops.run_graph import run_graph
from tests.frontends.argument_models import ints
from tests.frontends.on_devices import DEVICES, Device
from tests.frontends.onnx_models import imported, model, random, runtime, same

OPEN: dict[str, list[int | str | None]] = {"x": [1, 3, "h", "w"]}
SIZES = ((20, 33), (41, 37), (64, 64), (47, 10), (1, 7))
LEAST, MOST = 24.0, 40.0


def node(op: str, *names: str, **attrs: Any) -> Any:
    return helper.make_node(op, list(names[:-1]), [names[-1]], **attrs)


def scaled() -> list[Any]:
    """Both sizes times min(LEAST / the smaller, MOST / the larger), as torchvision's exporter writes it."""
    sides = []
    for axis in ("2", "3"):
        sides += [
            node("Gather", "shape", f"at{axis}", f"side{axis}"),
            node("Cast", f"side{axis}", f"float{axis}", to=1),
            node("Mul", f"float{axis}", "factor", f"product{axis}"),
            node("Cast", f"product{axis}", f"again{axis}", to=1),
            node("Floor", f"again{axis}", f"floor{axis}"),
            node("Unsqueeze", f"floor{axis}", "zero", f"size{axis}"),
        ]
    return [
        node("Shape", "x", "shape"),
        node("Slice", "shape", "two", "end", "zero", "sides"),
        *(node(f"Reduce{which}", "sides", which, keepdims=0) for which in ("Min", "Max")),
        *(node("Cast", which, f"{which}-float", to=1) for which in ("Min", "Max")),
        *(node("Reciprocal", f"{which}-float", f"{which}-part") for which in ("Min", "Max")),
        node("Mul", "Min-part", "least", "first"),
        node("Mul", "Max-part", "most", "second"),
        node("Min", "first", "second", "factor"),
        *sides,
        node("Concat", "size2", "size3", "floats", axis=0),
        node("Cast", "floats", "sizes", to=7),
    ]


WEIGHTS = {
    "at2": np.array(2),
    "at3": np.array(3),
    "zero": ints(0),
    "two": ints(2),
    "end": ints(2**63 - 1),
    "least": np.array(LEAST, np.float32),
    "most": np.array(MOST, np.float32),
}


def detector(weights: dict[str, Any] | None = None) -> ModelProto:
    """An image brought to a size, filled up to a multiple of 16, convolved, and where its cells are."""
    filled = []
    for axis in ("2", "3"):
        filled += [
            node("Gather", "new", f"at{axis}", f"new{axis}"),
            node("Unsqueeze", f"new{axis}", "zero", f"one{axis}"),
            node("Cast", f"one{axis}", f"length{axis}", to=1),
            node("ReduceMax", f"length{axis}", f"longest{axis}", keepdims=0),
            node("Div", f"longest{axis}", "stride", f"cells{axis}"),
            node("Ceil", f"cells{axis}", f"whole{axis}"),
            node("Mul", f"whole{axis}", "stride", f"padded{axis}"),
            node("Cast", f"padded{axis}", f"wanted{axis}", to=7),
            node("Sub", f"wanted{axis}", f"new{axis}", f"lack{axis}"),
            node("Unsqueeze", f"lack{axis}", "zero", f"after{axis}"),
        ]
    nodes = [
        *scaled(),
        node("Slice", "shape", "zero", "two", "zero", "leading"),
        node("Concat", "leading", "sizes", "target", axis=0),
        node("Resize", "x", "", "", "target", "image", mode="linear"),
        node("Shape", "image", "new"),
        *filled,
        node("Concat", *["zero"] * 6, "after2", "after3", "pads", axis=0),
        node("Pad", "image", "pads", "full"),
        node("Conv", "full", "kernel", "map", strides=[4, 4], pads=[1, 1, 1, 1]),
        node("Shape", "map", "cells"),
        node("Gather", "cells", "at3", "columns"),
        node("Range", "begin", "columns", "step", "row"),
        node("Cast", "row", "places", to=1),
        node("Add", "map", "places", "moved"),
        node("Relu", "moved", "out"),
    ]
    constants = {
        **WEIGHTS,
        "stride": np.array(16, np.float32),
        "kernel": random(4, 3, 3, 3, seed=1),
        "begin": np.array(0),
        "step": np.array(1),
        **(weights or {}),
    }
    return model(nodes, {"x": random(1, 3, 20, 33)}, ["out"], opset=13, weights=constants, shapes=OPEN)


def test_an_image_of_any_size() -> None:
    proto = detector()
    graph = imported(proto)
    for h, w in SIZES:
        feeds = {"x": random(1, 3, h, w, seed=h)}
        same(run_graph(graph, feeds), runtime(proto, feeds))


@pytest.mark.parametrize("device", DEVICES)
def test_an_image_of_any_size_on_devices(device: Device, tmp_path: Path) -> None:
    proto = detector()
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    pyruntime.convert(tmp_path / "model.onnx", tmp_path / "model.pack", targets=(device,))
    with pyruntime.load(tmp_path / "model.pack", device=device) as session:
        for h, w in SIZES:
            feeds = {"x": random(1, 3, h, w, seed=h)}
            same(dict(session.run(feeds)), runtime(proto, feeds), 1e-4)


def test_what_could_become_too_long_is_refused() -> None:
    graph = imported(detector({"least": np.array(2.0**19, np.float32), "most": np.array(1e9, np.float32)}))
    with pytest.raises(InputError, match=r"Resize .* its sizes must be at most 1048576"):
        run_graph(graph, {"x": random(1, 3, 4, 40)})


def test_what_has_no_bound_is_refused() -> None:
    nodes = [
        node("ReduceMax", "x", "top", keepdims=0),
        node("Mul", "top", "least", "size"),
        node("Unsqueeze", "size", "zero", "one"),
        node("Concat", "one", "one", "one", "one", "all", axis=0),
        node("Cast", "all", "sizes", to=7),
        node("Resize", "x", "", "", "sizes", "out"),
    ]
    with pytest.raises(UnsupportedError, match="its sizes depends on the model's input data"):
        imported(model(nodes, {"x": random(1, 3, 4, 4)}, ["out"], opset=13, weights=WEIGHTS, shapes=OPEN))


def test_bounds_are_no_less_than_what_floats_give() -> None:
    nodes = [*scaled(), node("Identity", "floats", "out")]
    graph = imported(model(nodes, {"x": random(1, 3, 9, 9)}, ["out"], opset=13, weights=WEIGHTS, shapes=OPEN))
    (value,) = graph.outputs
    for at in (0, 1):
        found = bound_of(value, {}, at)
        assert found is not None
        for h, w in (*SIZES, (1, 1), (1000, 3), (3, 1000), (713, 719)):
            least, most = (
                np.float32(n) / np.float32(side) for n, side in ((LEAST, min(h, w)), (MOST, max(h, w)))
            )
            size = np.floor(np.float32((h, w)[at]) * min(least, most))
            room, holds = (evaluate(dim, {"h": h, "w": w}) for dim in found)
            assert holds
            assert size <= room <= size * 1.1 + 3
