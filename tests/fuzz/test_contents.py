"""Contents of inputs that decide sizes and branches, and are data as well: exact on every target."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, ValueInfoProto
from onnx.helper import (
    make_graph,
    make_node,
)

from tests.frontends.argument_models import ints
from tests.frontends.onnx_models import random, value_info
from tests.fuzz.__main__ import TARGETS, outcomes
from tests.fuzz.known import build
from tests.fuzz.models import Made

pytestmark = [pytest.mark.wasm, pytest.mark.webgpu]

Array = NDArray[Any]
LEAST, MOST = -(2**63), 2**63 - 1


def made(nodes: list[NodeProto], feeds: dict[str, Array], outputs: list[str], **weights: Array) -> Made:
    infos = {n: value_info(n, a) for n, a in feeds.items()}
    return Made(build(nodes, infos, weights, outputs), [feeds])


def by(name: str, condition: str, *inner: NodeProto) -> NodeProto:
    """What some nodes make of x where a condition holds, else x."""
    branches: dict[str, Any] = {
        "then_branch": make_graph(inner, "yes", [], [ValueInfoProto(name=inner[-1].output[0])]),
        "else_branch": make_graph([make_node("Neg", ["x"], ["no"])], "no", [], [ValueInfoProto(name="no")]),
    }
    return make_node("If", [condition], [name], **branches)


MODELS = {
    # s is a shape, and its products have 42 bits
    "shape": made(
        [make_node("Reshape", ["x", "s"], ["y"]), make_node("Mul", ["s", "large"], ["z"])],
        {"x": random(6, 4), "s": ints(3, 8)},
        ["y", "z"],
        large=np.array(2**40 + 1),
    ),
    # "up to the end" is the largest number that there is
    "end": made(
        [
            make_node("Slice", ["x", "start", "end"], ["y"]),
            make_node("Sub", ["end", "start"], ["rest"]),
            make_node("Reshape", ["rest", "scalar"], ["z"]),
        ],
        {"x": random(6, 4), "start": ints(2), "end": ints(MOST)},
        ["y", "z"],
        scalar=np.zeros(0, np.int64),
    ),
    "negative": made(
        [
            make_node("Less", ["i", "zero"], ["below"]),
            by("y", "below", make_node("Exp", ["x"], ["e"])),
            make_node("Neg", ["i"], ["n"]),
            make_node("Reshape", ["n", "row"], ["z"]),
        ],
        {"x": random(3), "i": np.array(LEAST + 1)},
        ["y", "z"],
        zero=np.array(0),
        row=ints(1),
    ),
    # -2^31 squared is 0 in 32 bits, and so not above 3
    "wraps": made(
        [
            make_node("Mul", ["i", "i"], ["square"]),
            make_node("Add", ["square", "i"], ["sum"]),
            make_node("Greater", ["i", "three"], ["above"]),
            by("y", "above", make_node("Exp", ["x"], ["e"])),
        ],
        {"x": random(3), "i": np.array(-(2**31), np.int32)},
        ["y", "sum"],
        three=np.array(3, np.int32),
    ),
    "unsigned": made(
        [
            make_node("Greater", ["i", "three"], ["above"]),
            by("y", "above", make_node("Exp", ["x"], ["e"])),
            make_node("Reshape", ["i", "row"], ["z"]),
        ],
        {"x": random(3), "i": np.array(3_000_000_000, np.uint32)},
        ["y", "z"],
        three=np.array(3, np.uint32),
        row=ints(1),
    ),
    # what a branch takes of them
    "branch": made(
        [
            make_node("Reshape", ["x", "s"], ["r"]),
            make_node("Mul", ["s", "large"], ["wide"]),
            by(
                "y",
                "c",
                make_node("Add", ["wide", "s"], ["more"]),
                make_node("BitwiseXor", ["more", "large"], ["mixed"]),
                make_node("Cast", ["mixed"], ["f"], to=1),
                make_node("ReduceMax", ["f"], ["top"], keepdims=0),
                make_node("Add", ["x", "top"], ["b"]),
            ),
        ],
        {"x": random(6, 4), "s": ints(3, 8), "c": np.array(True)},
        ["r", "y"],
        large=np.array(2**40 + 1),
    ),
    "selection": made(
        [make_node("NonZero", ["i"], ["at"]), make_node("Compress", ["i", "c"], ["some"])],
        {"i": ints(LEAST, 0, MOST, -1, 2**62), "c": np.array([True, False, True, True, False])},
        ["at", "some"],
    ),
}


# differences of more than 64 bits, which WebGPU's hosts refuse to reckon with
APART = [(LEAST, MOST), (MOST, LEAST), (2**62, -(2**62) - 1), (2**52, 2**51), (MOST, MOST - 1)]


@pytest.mark.parametrize(("i", "j"), APART)
@pytest.mark.parametrize("how", ["Less", "Greater", "Equal"])
def test_comparisons_of_long_numbers_decide_branches(how: str, i: int, j: int) -> None:
    nodes = [make_node(how, ["i", "j"], ["c"]), by("y", "c", make_node("Exp", ["x"], ["e"]))]
    feeds = {"x": random(3), "i": np.array(i), "j": np.array(j)}
    wasm, webgpu = outcomes(made(nodes, feeds, ["y"]), TARGETS[1:])
    assert wasm.status == "passed", wasm.reason
    assert webgpu.status == "passed" or "64-bit overflow" in webgpu.reason, webgpu.reason


@pytest.mark.parametrize("name", MODELS)
def test_contents_are_exact(name: str) -> None:
    found = outcomes(MODELS[name], TARGETS)
    assert [o.status for o in found] == ["passed"] * len(TARGETS), [o.reason for o in found]
