"""Models that are quantised stay in integers, and give what ONNX Runtime gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, helper
from pyruntime_converter.lowering.lower import lower

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Graph
from pyruntime.ir.kernel import Conv, MatMul
from pyruntime.ops.interpret import run_program
from pyruntime.ops.run_graph import run_graph
from tests.frontends.onnx_models import imported, model, random, runtime
from tests.passes.net import Net, ints, optimised

Array = NDArray[Any]
SCALE = np.float32(0.031)


def integers(*shape: int, seed: int, dtype: Any = np.int8, low: int = -63, high: int = 63) -> Array:
    return np.random.default_rng(seed).integers(low, high, shape, dtype, endpoint=True)


def dequantized(
    net: Net, x: str | Array, scale: Array | np.generic, zero: Array | np.generic | None = None, **attrs: Any
) -> str:
    return net("DequantizeLinear", x, scale, *([] if zero is None else [zero]), **attrs)


def through(net: Net, x: str, scale: float, zero: Any) -> str:
    """x quantised and dequantised."""
    step, place = np.asarray(scale, np.float32), np.asarray(zero)
    return dequantized(net, net("QuantizeLinear", x, step, place), step, place)


def check(proto: ModelProto, net: Net, steps: float) -> Graph:
    """The optimised graph: it, and its kernel calls, are within a quantisation step of ONNX Runtime's result.

    `steps` is that step; a hundredth of the elements may be that far off, where rounding turns the other way.
    """
    expected = runtime(proto, net.feeds)
    graph = optimised(proto)
    program = lower(graph)
    called = run_program(program, [net.feeds[v.name] for v in graph.inputs], {})
    for found in (run_graph(graph, net.feeds), dict(zip(graph.output_names, called, strict=True))):
        for name, wanted in expected.items():
            error = np.abs(found[name].reshape(wanted.shape).astype(np.float64) - wanted)
            assert error.max() <= steps * 1.001, name
            assert (error > steps / 100).mean() <= 0.01, name
    return graph


def products(graph: Graph) -> Sequence[MatMul | Conv]:
    return [c for c in lower(graph).calls if isinstance(c, (MatMul, Conv))]


def all_exact(graph: Graph, count: int) -> None:
    found = products(graph)
    assert len(found) == count
    assert all(c.exact for c in found)


FEEDS = {"x": random(3, 5, 24)}
ZEROS = [np.uint8(131), np.int8(-7), np.uint8(0)]


@pytest.mark.parametrize("zero", ZEROS)
def test_product_of_activations_and_weights(zero: Any) -> None:
    """One kernel takes quantised rows, and stores them quantised."""
    net = Net(FEEDS)
    x = through(net, "x", 0.031, zero)
    w = dequantized(net, integers(24, 17, seed=1), np.linspace(0.01, 0.03, 17, dtype=np.float32), axis=1)
    y = net("Relu", net("Add", net("MatMul", x, w), random(17)))
    out = net("QuantizeLinear", y, np.float32(0.2), np.uint8(10))
    graph = check(net.proto(out), net, 1)
    all_exact(graph, 1)
    assert [c.output.tensor.dtype for c in lower(graph).calls][1:] == [DType.U8]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_product_of_two_activations(dtype: Any) -> None:
    net = Net({"x": random(2, 5, 24), "y": random(2, 24, 9, seed=1)})
    zeros = [np.asarray(z, dtype) for z in ((3, 100) if dtype == np.uint8 else (-3, 0))]
    x, y = (through(net, name, 0.031, zero) for name, zero in zip(("x", "y"), zeros, strict=True))
    graph = check(net.proto(net("MatMul", x, y)), net, 1e-4)
    all_exact(graph, 1)


def test_gemm_with_a_bias_of_integers() -> None:
    """The weights are transposed as integers; a bias as wide as floats is folded."""
    net = Net({"x": random(4, 24)})
    x = through(net, "x", 0.031, np.uint8(120))
    w = dequantized(net, integers(10, 24, seed=1), np.linspace(0.01, 0.03, 10, dtype=np.float32), axis=0)
    bias = integers(10, seed=2, dtype=np.int32, low=-900, high=900)
    b = dequantized(net, bias, np.linspace(0.01, 0.03, 10, dtype=np.float32) * SCALE, axis=0)
    graph = check(net.proto(net("Gemm", x, w, b, transB=1)), net, 1e-3)
    all_exact(graph, 1)
    (weight,) = [c.b for c in products(graph) if isinstance(c, MatMul)]
    assert weight.tensor.dtype is DType.I8


CONVS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "padded": ((6, 4, 3, 3), {"pads": [1, 1, 1, 1]}),
    "strides": ((6, 4, 3, 3), {"pads": [0, 1, 1, 0], "strides": [2, 2]}),
    "1x1": ((6, 4, 1, 1), {}),
    "depthwise": ((4, 1, 3, 3), {"pads": [1, 1, 1, 1], "group": 4}),
    "groups": ((6, 2, 3, 3), {"pads": [1, 1, 1, 1], "group": 2}),
}


@pytest.mark.parametrize("weights", ["symmetric", "any-zero"])
@pytest.mark.parametrize("zero", ZEROS)
@pytest.mark.parametrize("kind", CONVS)
def test_convolution(kind: str, zero: Any, weights: str) -> None:
    """Also of weights with a zero point that int8 cannot take up: the sum of each window corrects them."""
    shape, attrs = CONVS[kind]
    net = Net({"x": random(2, 4, 7, 9)})
    x = through(net, "x", 0.031, zero)
    if weights == "symmetric":
        scales = np.linspace(0.01, 0.03, shape[0], dtype=np.float32)
        w = dequantized(net, integers(*shape, seed=1), scales, axis=0)
    else:
        w = dequantized(net, integers(*shape, seed=1, dtype=np.uint8, low=0, high=255), SCALE, np.uint8(117))
    y = net("Conv", x, w, random(shape[0]), **attrs)
    out = net("QuantizeLinear", net("Clip", y, 0.0, 6.0), np.float32(0.03), np.int8(-128))
    graph = check(net.proto(out), net, 1)
    all_exact(graph, 1 if weights == "symmetric" else 2)
    assert lower(graph).calls[-1].output.tensor.dtype is DType.I8


def test_what_is_only_moved_keeps_its_bits() -> None:
    """Max pools, transposes, reshapes, slices and a concatenation of what has one scale: all in 8 bits."""
    net = Net({"x": random(1, 4, 8, 8)})
    scale, zero = 0.031, np.uint8(131)
    q = net("QuantizeLinear", net("Mul", "x", 1.5), np.float32(scale), zero)
    x = dequantized(net, q, np.float32(scale), zero)
    pooled = through(net, net("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), scale, zero)
    moved = through(net, net("Transpose", pooled, perm=[0, 1, 3, 2]), scale, zero)
    cut = through(net, net("Slice", moved, ints(1), ints(3), ints(1)), scale, zero)
    both = net("Concat", cut, moved, axis=1)
    out = net("QuantizeLinear", net("Reshape", both, ints(1, -1)), np.float32(scale), zero)
    graph = check(net.proto(out), net, 0)
    assert Counter(n.op for n in graph.nodes)["Dequantize"] == 0
    assert {c.output.tensor.dtype for c in lower(graph).calls} == {DType.U8}


def test_concatenation_of_unlike_scales_is_quantised_part_by_part() -> None:
    net = Net({"x": random(2, 70, 40)})
    parts = [through(net, net("Mul", "x", factor), 0.02 * factor, np.uint8(120)) for factor in (1.0, 2.0)]
    out = net("QuantizeLinear", net("Concat", *parts, axis=1), np.float32(0.05), np.uint8(120))
    graph = check(net.proto(out), net, 1)
    assert {c.output.tensor.dtype for c in lower(graph).calls} == {DType.U8}


def test_residual_sums_read_and_write_8_bits() -> None:
    net = Net({"x": random(1, 8, 6, 6)})
    x = through(net, "x", 0.031, np.uint8(131))
    w = dequantized(net, integers(8, 8, 3, 3, seed=1), np.float32(0.01))
    y = through(net, net("Conv", x, w, pads=[1, 1, 1, 1]), 0.1, np.uint8(120))
    out = net("QuantizeLinear", net("Relu", net("Add", x, y)), np.float32(0.1), np.uint8(0))
    graph = check(net.proto(out), net, 1)
    calls = lower(graph).calls
    assert [c.template for c in calls] == ["map", "conv"]
    assert {c.output.tensor.dtype for c in calls} == {DType.U8}


def test_tables_are_gathered_as_integers() -> None:
    net = Net({"ids": np.array([[3, 0, 8]])})
    table = integers(9, 16, seed=1)
    scales = np.linspace(0.01, 0.03, 9, dtype=np.float32)
    out = net("Gather", dequantized(net, table, scales, axis=0), "ids", axis=0)
    graph = check(net.proto(out), net, 1e-6)
    assert DType.I8 in {t.dtype for t in lower(graph).weights()}


def test_weights_of_float_products_become_floats() -> None:
    """Without a quantised left operand the product is in floats, and nothing is dequantised at run time."""
    net = Net(FEEDS)
    w = dequantized(net, integers(24, 17, seed=1), SCALE)
    graph = optimised(net.proto(net("MatMul", "x", w)))
    assert [n.op for n in graph.nodes] == ["MatMul"]
    wanted = FEEDS["x"].astype(np.float64) @ (integers(24, 17, seed=1) * np.float64(SCALE))
    (found,) = run_graph(graph, FEEDS).values()
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_16_bits_stay_in_floats() -> None:
    """Their sums would not fit 32 bits."""
    net = Net(FEEDS)
    x = through(net, "x", 0.001, np.int16(0))
    w = dequantized(net, integers(24, 17, seed=1), SCALE)
    graph = optimised(net.proto(net("MatMul", x, w), opset=21))
    assert not any(c.exact for c in products(graph))


def test_products_of_integers() -> None:
    """MatMulInteger with a zero point that comes at run time, as dynamic quantisation has it."""
    net = Net(FEEDS)
    x, scale, zero = net.many("DynamicQuantizeLinear", "x", outputs=3)
    sums = net("MatMulInteger", x, integers(24, 17, seed=1), zero)
    out = net("Mul", net("Cast", sums, to=1), net("Mul", scale, 0.01))
    graph = check(net.proto(out), net, 0.05)
    all_exact(graph, 1)


def test_convolution_of_integers_with_a_zero_point_at_run_time() -> None:
    net = Net({"x": random(1, 4, 7, 9)})
    x, scale, zero = net.many("DynamicQuantizeLinear", "x", outputs=3)
    sums = net("ConvInteger", x, integers(6, 4, 3, 3, seed=1), zero, pads=[1, 1, 1, 1])
    out = net("Mul", net("Cast", sums, to=1), scale)
    graph = check(net.proto(out), net, 5)
    all_exact(graph, 1)


def test_half_precision_scales() -> None:
    """Sums times scales are rounded to float16 once."""
    q, w = integers(4, 24, seed=1, low=-128, high=127), integers(24, 6, seed=2)
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s"], ["x"]),
        helper.make_node("DequantizeLinear", ["w", "s"], ["y"]),
        helper.make_node("MatMul", ["x", "y"], ["out"]),
    ]
    weights = {"w": w, "s": np.asarray(0.01, np.float16)}
    proto = model(nodes, {"q": q}, ["out"], opset=21, weights=weights, ir_version=10)
    graph = optimised(proto)
    all_exact(graph, 1)
    wanted = (q.astype(np.int64) @ w.astype(np.int64)) * float(np.float16(0.01)) ** 2
    found = run_graph(graph, {"q": q})["out"]
    np.testing.assert_allclose(found, wanted, rtol=2e-3)
    assert found.dtype == np.float16
    assert imported(proto).outputs[0].dtype is DType.F16


def test_scales_are_folded() -> None:
    """Sums take one multiplication and one addition on their way to 8 bits; a residual one more of each."""
    net = Net({"x": random(1, 8, 6, 6)})
    x = through(net, "x", 0.031, np.uint8(131))
    w = dequantized(net, integers(8, 8, 3, 3, seed=1), np.linspace(0.01, 0.03, 8, dtype=np.float32), axis=0)
    y = through(net, net("Conv", x, w, random(8), pads=[1, 1, 1, 1]), 0.1, np.uint8(120))
    out = net("QuantizeLinear", net("Relu", net("Add", x, y)), np.float32(0.1), np.uint8(0))
    graph = check(net.proto(out), net, 1)
    counts = Counter(n.op for n in graph.nodes)
    assert {op: counts[op] for op in ("Sub", "Mul", "Div", "Add", "Dequantize")} == {
        "Sub": 0,
        "Mul": 1,  # of the input
        "Div": 0,
        "Add": 2,
        "Dequantize": 3,
    }
    assert all(n.input(1).data == 1 for n in graph.nodes if n.op == "Quantize")


def test_values_that_others_read_are_not_scaled() -> None:
    net = Net({"x": random(1, 8, 6, 6), "z": random(1, 8, 6, 6, seed=1)})
    total = net("Add", "z", net("Relu", "x"))
    out = net("QuantizeLinear", total, np.float32(0.1), np.uint8(7))
    proto = net.proto(out, net("Neg", total))
    graph = optimised(proto)
    expected = runtime(proto, net.feeds)
    for name, found in run_graph(graph, net.feeds).items():
        np.testing.assert_allclose(found.astype(np.float64), expected[name], atol=1e-6)
    assert [n.op for n in graph.nodes].count("Add") == 1


def test_reductions_read_8_bits() -> None:
    """The convolution before a global mean stores what the model quantises it to."""
    net = Net({"x": random(1, 8, 6, 6)})
    x = through(net, "x", 0.031, np.uint8(131))
    w = dequantized(net, integers(8, 8, 3, 3, seed=1), np.float32(0.01))
    y = through(net, net("Conv", x, w), 0.1, np.uint8(120))
    graph = check(net.proto(net("GlobalAveragePool", y)), net, 0.02)
    assert [(c.template, c.output.tensor.dtype) for c in lower(graph).calls] == [
        ("map", DType.U8),
        ("conv", DType.U8),
        ("row", DType.F32),
    ]
