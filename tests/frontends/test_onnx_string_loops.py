"""Strings that loops carry, take and give: as ONNX Runtime has them, on both devices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

from pyruntime.errors import UnsupportedError
from tests.frontends.on_devices import DEVICES, Device, on_device
from tests.frontends.onnx_models import Array, agrees, imported, model, run, runtime, same
from tests.frontends.string_models import drawn, strings

node = helper.make_node
STRING = TensorProto.STRING


def body(nodes: list[NodeProto], inputs: Mapping[str, int], outputs: Mapping[str, int]) -> GraphProto:
    """A subgraph of scalars that are numbers, and of strings in any shape."""
    given, made = (
        [helper.make_tensor_value_info(n, t, None if t == STRING else []) for n, t in each.items()]
        for each in (inputs, outputs)
    )
    return helper.make_graph(nodes, "body", given, made)


def loop(*extra: NodeProto, given: str = "turned", trip: str = "trip") -> NodeProto:
    """Turns a vector by one place, then does more; gives its first element of each iteration."""
    nodes = [
        node("Identity", ["go"], ["goes_on"]),
        node("Slice", ["s", "one", "far"], ["tail"]),
        node("Slice", ["s", "zero", "one"], ["head"]),
        node("Concat", ["tail", "head"], ["turned"], axis=0),
        *extra,
        node("Squeeze", ["head"], ["first"]),
    ]
    inputs = {"i": TensorProto.INT64, "go": TensorProto.BOOL, "s": STRING}
    made = {"goes_on": TensorProto.BOOL, given: STRING, "first": STRING}
    return node("Loop", [trip, "", "x"], ["last", "firsts"], body=body(nodes, inputs, made))


def looped(*nodes: NodeProto, feeds: dict[str, Array], **weights: Array) -> ModelProto:
    ends = {"zero": np.array([0]), "one": np.array([1]), "far": np.array([99])}
    return model([*nodes], feeds, ["last", "firsts"], opset=20, weights={**ends, **weights})


@pytest.mark.parametrize("device", DEVICES)
def test_a_number_of_times_that_is_fed(device: Device, tmp_path: Any) -> None:
    feeds: dict[str, Array] = {"x": drawn(4), "trip": np.array(3)}
    proto = looped(loop(), feeds=feeds)
    wanted = runtime(proto, feeds)
    assert wanted["last"].tolist() == np.roll(feeds["x"], -3).tolist()
    same(on_device(proto, feeds, device, tmp_path), wanted)


@pytest.mark.parametrize("trips", [0, 1, 5])
def test_longer_strings_from_around(trips: int) -> None:
    """One of which an iteration may take: rows are as wide from the first on."""
    longer = node("Where", ["mask", "constant", "turned"], ["chosen"])
    feeds: dict[str, Array] = {"x": strings("a", "", "c"), "trip": np.array(trips)}
    constants = {"mask": np.array([False, True, False]), "constant": strings("longer than eight bytes")}
    agrees(looped(loop(longer, given="chosen"), feeds=feeds, **constants), feeds)


def test_strings_that_grow() -> None:
    """A loop of a known number of iterations is unrolled; any other is refused."""
    grow = node("StringConcat", ["turned", "bang"], ["grown"])
    known = loop(grow, given="grown", trip="three")
    feeds: dict[str, Array] = {"x": drawn(3)}
    bang = strings("!")
    agrees(looped(known, feeds=feeds, bang=bang, three=np.array(3)), feeds)
    fed = feeds | {"trip": np.array(3)}
    with pytest.raises(UnsupportedError, match="strings that grow, and how often it runs is not known"):
        imported(looped(loop(grow, given="grown"), feeds=fed, bang=bang))


def scan(**attrs: Any) -> ModelProto:
    nodes = [node("StringConcat", ["row", "number"], ["made"]), node("Identity", ["row"], ["left"])]
    inner = body(nodes, {"state": STRING, "row": STRING, "number": STRING}, {"left": STRING, "made": STRING})
    nodes = [node("Scan", ["start", "x", "y"], ["last", "all"], num_scan_inputs=2, body=inner, **attrs)]
    return model(nodes, scan_feeds(), ["last", "all"], opset=20)


def scan_feeds(steps: int = 4) -> dict[str, Array]:
    return {"start": drawn(2), "x": drawn(2, steps, seed=1), "y": drawn(steps, 2, seed=2)}


AXES = {"scan_input_axes": [1, 0], "scan_output_axes": [1], "scan_input_directions": [1, 0]}


@pytest.mark.parametrize("device", DEVICES)
def test_scan(device: Device, tmp_path: Any) -> None:
    """Over axes of either input, and one of them backward; results along another axis."""
    feeds, proto = scan_feeds(), scan(**AXES)
    wanted = {
        "last": feeds["x"][:, 0],
        "all": (feeds["x"][:, ::-1] + feeds["y"].T),
    }
    same(on_device(proto, feeds, device, tmp_path), wanted)


def test_scan_of_one_step() -> None:
    """What an iteration gives is as wide as the state that it got, and not as what it leaves."""
    nodes = [node("Identity", ["state"], ["made"]), node("Identity", ["row"], ["left"])]
    inner = body(nodes, {"state": STRING, "row": STRING}, {"left": STRING, "made": STRING})
    feeds = {"start": strings("s" * 20, ""), "x": drawn(1, 2)}
    scanned = node("Scan", ["start", "x"], ["last", "all"], num_scan_inputs=1, body=inner)
    made = run(model([scanned], feeds, ["last", "all"], opset=20), feeds)
    same(made, {"last": feeds["x"][0], "all": feeds["start"].reshape(1, 2)})
