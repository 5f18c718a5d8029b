"""Sizes that windows ask for: smaller ones are refused, and what follows knows it."""

from __future__ import annotations

import pytest
from onnx import ModelProto, helper
from pyruntime_converter.frontends.onnx.refusals import least_size

from pyruntime.errors import InputError
from pyruntime.ir.dims import Dim, floordiv, maximum, minimum, mod, symbol
from pyruntime.ir.symbols import evaluate
from tests.frontends.control_models import branch, decide, ints
from tests.frontends.onnx_models import Array, agrees, model, random, run

node = helper.make_node
N = symbol("n")


def test_a_window_without_padding_tells_a_least_size() -> None:
    """An even window over all frames gives one more than there were, which speech encoders cut off."""
    nodes = [
        node("Conv", ["x", "w"], ["frames"], kernel_shape=[4], strides=[3]),
        node("Conv", ["frames", "v"], ["near"], kernel_shape=[2], pads=[1, 1]),
        node("Slice", ["near", "zero", "end", "axis"], ["cut"]),
        node("Add", ["frames", "cut"], ["sum"]),
        node("Transpose", ["sum"], ["rows"], perm=[0, 2, 1]),
        node("Shape", ["rows"], ["shape"]),
        node("Slice", ["shape", "zero", "axis"], ["outer"]),
        node("Concat", ["outer", "two", "end"], ["split"], axis=0),
        node("Reshape", ["rows", "split"], ["heads"]),
        node("Concat", ["outer", "end"], ["joined"], axis=0),
        node("Reshape", ["heads", "joined"], ["whole"]),
        node("MatMul", ["whole", "u"], ["out"]),
    ]
    weights: dict[str, Array] = {"w": random(4, 1, 4), "v": random(4, 4, 2), "u": random(4, 3)}
    weights |= {"zero": ints(0), "end": ints(-1), "axis": ints(2), "two": ints(2)}
    shapes: dict[str, list[int | str | None]] = {"x": ["batch", 1, "time"]}
    proto = model(nodes, {"x": random(1, 1, 9)}, ["out"], weights=weights, shapes=shapes)
    for time in (4, 9, 12, 23):
        agrees(proto, {"x": random(2, 1, time)})
    with pytest.raises(InputError, match="a window of 4 does not fit spatial axis 0, of time"):
        run(proto, {"x": random(1, 1, 3)})


def padded_to_blocks() -> ModelProto:
    """A window of 32 over time that is filled up to a multiple of 8, beside the first 30 of its frames."""
    nodes = [
        node("Shape", ["x"], ["size"], start=2),
        node("Neg", ["size"], ["negative"]),
        node("Mod", ["negative", "eight"], ["behind"]),
        node("Concat", ["zeros", "behind"], ["pads"], axis=0),
        node("Pad", ["x", "pads"], ["padded"]),
        node("Conv", ["padded", "w"], ["windows"], kernel_shape=[32]),
        node("Slice", ["x", "zero", "thirty", "two"], ["first"]),
    ]
    weights: dict[str, Array] = {"eight": ints(8), "zeros": ints(0, 0, 0, 0, 0), "w": random(1, 1, 32)}
    weights |= {"zero": ints(0), "thirty": ints(30), "two": ints(2)}
    return model(
        nodes, {"x": random(1, 1, 40)}, ["windows", "first"], weights=weights, shapes={"x": [1, 1, "n"]}
    )


def test_a_least_size_is_the_least_that_a_run_takes() -> None:
    """Not one from which on it is sure that the window fits: 25 is filled up to 32."""
    proto = padded_to_blocks()
    for size in (25, 29, 30, 31, 40):
        agrees(proto, {"x": random(1, 1, size)})
    with pytest.raises(InputError, match="a window of 32 does not fit"):
        run(proto, {"x": random(1, 1, 24)})


@pytest.mark.parametrize(
    ("room", "least"),
    [
        (N - 5, 5),
        (floordiv(N - 3, 2) - 2, 7),
        (N + mod(-N, 8) - 32, 25),
        (maximum(4 - N, N - 8), 1),  # there is room for 4 as well as for 8
        (minimum(N - 3, 9 - N), 3),  # and for no more than 9
        (N * N - 17, 5),
        (-N, 1),  # never any
    ],
)
def test_least_sizes(room: Dim, least: int) -> None:
    assert least_size(room, "n", 1) == least
    values = [evaluate(room, {"n": n}) for n in range(1, least + 1)]
    assert all(v < 0 for v in values[:-1])


def test_a_branch_and_a_window_that_leave_no_size() -> None:
    """Sizes that lead to the first branch are too small for what follows in it."""
    small = branch(node("Conv", ["x", "w"], ["c"], kernel_shape=[9]))
    other = branch(node("ReduceSum", ["x", "axis"], ["r"], keepdims=0))
    nodes = [
        node("Shape", ["x"], ["size"], start=2),
        node("Less", ["size", "five"], ["few"]),
        decide("few", "out", small, other),
    ]
    weights: dict[str, Array] = {"five": ints(5), "w": random(1, 1, 9), "axis": ints(2)}
    proto = model(nodes, {"x": random(2, 1, 7)}, ["out"], weights=weights, shapes={"x": [2, 1, "n"]})
    agrees(proto, {"x": random(2, 1, 7)})
    with pytest.raises(InputError, match="a window of 9 does not fit"):
        run(proto, {"x": random(2, 1, 4)})
