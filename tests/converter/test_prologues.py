"""Levels that products make of what they load, for WebGPU: which do, and what stays as it was."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.targets.prologues import quantize_on_load

from pyruntime.ir.kernel import Conv, MatMul
from pyruntime.ir.program import Program
from pyruntime.ops.interpret import run_program
from tests.frontends.onnx_models import random, runtime, same
from tests.passes.net import Net, ints, optimised

X = random(2, 5, 24, seed=1, low=-3, high=2)
IMAGES = random(2, 8, 6, 7, seed=2, low=-3, high=2)


def whole(*shape: int) -> NDArray[np.int8]:
    return np.random.default_rng(shape).integers(-100, 100, shape, dtype=np.int8)


def programs(net: Net, *outputs: str) -> tuple[Program, Program]:
    """As lowered, and with levels made on load: equal bits, and near what ONNX Runtime gives."""
    proto = net.proto(*outputs)
    graph = optimised(proto)
    program = lower(graph)
    changed = quantize_on_load(program)
    fed = [net.feeds[v.name] for v in graph.inputs]
    results = run_program(program, fed, {})
    for one, other in zip(results, run_program(changed, fed, {}), strict=True):
        np.testing.assert_array_equal(one, other)
    expected = runtime(proto, net.feeds)
    shaped = zip(graph.output_names, results, strict=True)
    same({n: r.reshape(expected[n].shape) for n, r in shaped}, expected, 1e-4)
    return program, changed


def counts(program: Program) -> dict[str, int]:
    return dict(Counter(c.template for c in program.calls))


def made(program: Program) -> int:
    """How many products have a prologue."""
    return sum(isinstance(c, (MatMul, Conv)) and c.prologue is not None for c in program.calls)


def product(net: Net, levels: list[str], weight: NDArray[Any]) -> str:
    """Levels times a weight, in floats."""
    quantized, scale, zero = levels
    sums = net("MatMulInteger", quantized, weight, zero)
    return net("Mul", net("Cast", sums, to=1), scale)


def test_a_matrix() -> None:
    net = Net({"x": X})
    before, after = programs(
        net, product(net, net.many("DynamicQuantizeLinear", "x", outputs=3), whole(24, 16))
    )
    assert made(after) == 1
    assert counts(before)["map"] - counts(after).get("map", 0) == 1


def test_two_products_of_the_same_levels() -> None:
    net = Net({"x": X})
    levels = net.many("DynamicQuantizeLinear", "x", outputs=3)
    _, after = programs(net, product(net, levels, whole(24, 16)), product(net, levels, whole(24, 8)))
    assert made(after) == 2


def test_parts_of_levels() -> None:
    """Each product makes those that it reads: some columns, or every other row."""
    net = Net({"x": X})
    levels, *scale = net.many("DynamicQuantizeLinear", "x", outputs=3)
    columns = net("Slice", levels, ints(8), ints(24), ints(2))
    rows = net("Slice", levels, ints(1), ints(5), ints(1), ints(2))
    _, after = programs(
        net, product(net, [columns, *scale], whole(16, 16)), product(net, [rows, *scale], whole(24, 8))
    )
    assert made(after) == 2


@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 0, 2, 1]])
@pytest.mark.parametrize("kernel", [1, 3])
def test_images(kernel: int, pads: list[int]) -> None:
    """Where a zero point that data decide pads them, levels are stored: a view's fill is a constant."""
    net = Net({"x": IMAGES})
    levels, scale, zero = net.many("DynamicQuantizeLinear", "x", outputs=3)
    sums = net("ConvInteger", levels, whole(16, 8, kernel, kernel), zero, pads=pads)
    before, after = programs(net, net("Mul", net("Cast", sums, to=1), scale))
    assert made(after) == len(before.calls) - len(after.calls) == (not any(pads))


@pytest.mark.parametrize("kept", ["output", "reader", "columns", "computed"])
def test_what_stays(kept: str) -> None:
    """Levels that something else reads, that too many workgroups would make, or of two tensors."""
    net = Net({"x": X, "y": X[::-1].copy()})
    levels = net.many("DynamicQuantizeLinear", "x", outputs=3)
    if kept == "computed":
        scaled = net("Mul", "x", net("Sigmoid", "y"))
        levels = [
            net("QuantizeLinear", scaled, 0.02, np.uint8(9)),
            net.constant(0.02),
            net.constant(np.uint8(9)),
        ]
    outputs = [product(net, levels, whole(24, 5000 if kept == "columns" else 16))]
    outputs += [levels[0]] if kept == "output" else []
    outputs += [net("MaxPool", levels[0], kernel_shape=[3])] if kept == "reader" else []
    before, after = programs(net, *outputs)
    assert not made(after)
    assert counts(before) == counts(after)
