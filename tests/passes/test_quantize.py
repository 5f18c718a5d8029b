"""quantize="int8": which nodes become integers, how near they stay, and what NaN, infinity and zeros give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.passes import optimise
from pyruntime_converter.passes.levels import levels_of, lower_bound, octet_levels_of, upper_bound
from pyruntime_converter.passes.quantize import Quantized

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Graph
from pyruntime.ir.kernel import Conv, MatMul
from pyruntime.ops.interpret import run_program
from pyruntime.ops.octets import LANE, octet_range
from pyruntime.ops.run_graph import bind_symbols, run_graph
from tests.frontends.onnx_models import imported, random, runtime
from tests.passes.net import Net

Array = NDArray[Any]
FEEDS = {"x": random(2, 7, 48)}


def quantized(proto: ModelProto) -> tuple[Graph, Quantized]:
    graph, found = imported(proto), Quantized()
    optimise(graph, found)
    return graph, found


def results(graph: Graph, feeds: Mapping[str, Array]) -> list[Array]:
    """The output of the graph, and of its kernel calls."""
    (whole,) = run_graph(graph, feeds).values()
    called = run_program(lower(graph), [feeds[v.name] for v in graph.inputs], bind_symbols(graph, feeds))
    return [whole, called[0].reshape(whole.shape)]


def check(net: Net, out: str, products: int, cosine: float = 0.9995) -> tuple[Graph, Quantized]:
    """The quantised graph: so many integer products, and results at this angle to ONNX Runtime's at most."""
    proto = net.proto(out)
    (wanted,) = runtime(proto, net.feeds).values()
    graph, found = quantized(proto)
    for result in results(graph, net.feeds):
        assert result.shape == wanted.shape
        assert np.sum(result * wanted) / np.linalg.norm(result) / np.linalg.norm(wanted) >= cosine
    calls = [c for c in lower(graph).calls if isinstance(c, (MatMul, Conv))]
    assert sum(c.exact for c in calls) == products
    return graph, found


def test_levels_of_weights() -> None:
    """Symmetric, by columns; a column of zeros is one of zeros."""
    weight = random(40, 3)
    weight[:, 1] = 0
    integers, steps = levels_of(weight, (0,), 63)
    assert integers.dtype == np.int8
    assert np.abs(integers).max(0).tolist() == [63, 0, 63]
    assert np.isfinite(steps).all()
    assert (np.abs(integers * steps - weight) <= steps * 0.5001).all()


@pytest.mark.parametrize("spread", ["normal", "uniform", "one sign", "zero"])
def test_levels_by_octets(spread: str) -> None:
    """What four neighbours come to fits 16 bits; a matrix that would lose much by that gets coarser steps."""
    normal = random(131, 24)
    uniform = np.random.default_rng(3).uniform(-1, 1, (131, 24)).astype(np.float32)
    weight = {"normal": normal, "uniform": uniform, "one sign": np.abs(uniform), "zero": 0 * normal}[spread]
    levels, steps = octet_levels_of(weight, 63)
    low, high = octet_range(levels[None], 1)
    assert -LANE <= low <= high <= LANE
    assert levels.dtype == np.int8
    assert steps.dtype == np.float32
    off = np.linalg.norm(levels * steps - weight, axis=0)
    assert (off <= 0.05 * np.linalg.norm(weight, axis=0)).all()


def test_products_by_rows() -> None:
    """Layers after one another; sizes that are symbols; rows of very different magnitude."""
    feeds = {"x": random(2, 7, 48) * np.float32(10) ** np.arange(-3, 4, dtype=np.float32)[:, None]}
    net = Net(feeds, {"x": ["batch", "length", 48]})
    hidden = net("Add", net("MatMul", "x", net.weight(48, 64)), net.weight(64))
    out = net("MatMul", net("Relu", hidden), net.weight(64, 40))
    _, found = check(net, out, 2)
    assert len(found.done) == 2
    assert not found.left
    small = {"x": feeds["x"][:, :1]}  # what is small beside other rows is as exact
    (wanted,) = runtime(net.proto(out), small).values()
    for result in results(quantized(net.proto(out))[0], small):
        assert np.abs(result - wanted).max() <= 0.03 * np.abs(wanted).max()


def test_products_of_one_activation_share_its_levels() -> None:
    net = Net(FEEDS)
    parts = [net("MatMul", "x", net.weight(48, 32)) for _ in range(2)]
    graph, _ = check(net, net("Mul", net("Sigmoid", parts[0]), parts[1]), 2)
    assert [n.op for n in graph.nodes].count("Round") == 1


@pytest.mark.parametrize("bound", ["Relu", "Gelu", "none"])
def test_rows_that_are_not_numbers_or_zero(bound: str) -> None:
    """Nothing finite comes of NaN or infinity; zeros give zeros; the rows beside are as without."""
    net = Net(FEEDS)
    x = net(bound, "x") if bound == "Relu" else "x"
    if bound == "Gelu":
        x = net("Mul", net("Mul", "x", net("Add", net("Erf", net("Div", "x", 2**0.5)), 1.0)), 0.5)
    graph, found = quantized(net.proto(net("MatMul", x, net.weight(48, 64))))
    assert len(found.done) == 1
    feeds = {"x": FEEDS["x"].copy()}
    feeds["x"][0, 1, 3] = np.nan
    feeds["x"][0, 2, 5] = np.inf
    feeds["x"][1, 0] = 0
    if bound == "none":
        feeds["x"][1, 1, 7] = -np.inf
    for result, usual in zip(results(graph, feeds), results(graph, FEEDS), strict=True):
        assert not np.isfinite(result[0, 1:3]).any()
        assert bound != "none" or not np.isfinite(result[1, 1]).any()
        assert np.abs(result[1, 0]).max() <= (0.02 if bound == "Gelu" else 1e-20)
        np.testing.assert_array_equal(result[1, 2:], usual[1, 2:])


IMAGES = {"x": random(2, 24, 9, 7)}


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("kernel", [1, 3])
def test_convolutions(kernel: int, relu: bool) -> None:
    """By pixels where nothing else meets in a sum, else by images; padding is a level exactly."""
    net = Net(IMAGES)
    x = net("Relu", "x") if relu else "x"
    pads = [kernel // 2] * 4
    y = net("Conv", x, net.weight(48, 24, kernel, kernel), net.weight(48), pads=pads)
    graph, found = check(net, net("Relu", y), 1)
    assert len(found.done) == 1
    (largest,) = [n for n in graph.nodes if n.op == "ReduceMax"]
    assert largest.attrs["axes"] == ((1,) if kernel == 1 else (1, 2, 3))
    pad_values = {n.attrs["pad_value"] for n in graph.nodes if n.op == "Conv"}
    assert pad_values == {-127 if relu and kernel == 3 else 0}


def test_clipped_activations() -> None:
    """Clip to 0 and 6, as mobile networks have it, is left to the store of levels that are known before."""
    net = Net(IMAGES)
    x = net("Clip", net("Mul", "x", 3.0), 0.0, 6.0)
    for channels, group in ((24, 24), (32, 1)):
        filters = net.weight(channels, 24 // group, 3, 3)
        y = net("Conv", x, filters, net.weight(channels), pads=[1, 1, 1, 1], group=group)
        x = net("Clip", y, 0.0, 6.0)
    graph, found = check(net, x, 2)
    assert len(found.done) == 2
    assert [n.attrs["pad_value"] for n in graph.nodes if n.op == "Conv"] == [0, 0]
    assert Counter(n.op for n in graph.nodes)["Quantize"] == 2
    assert Counter(n.op for n in graph.nodes)["Max"] == 2  # of what is no product, and of the result


@pytest.mark.parametrize(("low", "high"), [(-2.0, 1.0), (0.5, 3.0), (-3.0, -1.0), (0.0, np.inf)])
def test_levels_of_clipped_activations_hold_zero(low: float, high: float) -> None:
    """What a convolution is padded with is a level, whatever the bounds are."""
    net = Net(IMAGES)
    y = net("Conv", net("Clip", "x", low, high), net.weight(32, 24, 3, 3), pads=[1, 1, 1, 1])
    check(net, y, 1)


def test_scales_go_into_float_weights() -> None:
    """A float layer before levels that are known gives them without a multiplication."""
    net = Net({"x": random(1, 3, 9, 7)})
    y = net("Clip", net("Conv", "x", net.weight(24, 3, 3, 3), net.weight(24)), 0.0, 6.0)
    graph, found = check(net, net("Conv", y, net.weight(32, 24, 1, 1)), 1)
    assert len(found.left) == 1
    assert not {"Mul", "Max", "Min"} & {n.op for n in graph.nodes}


def test_what_stays_in_floats_is_told() -> None:
    net = Net(IMAGES)
    y = net("Conv", "x", net.weight(24, 1, 3, 3), group=24, pads=[1, 1, 1, 1])
    y = net("Conv", y, net.weight(4, 24, 1, 1))
    graph, found = quantized(net.proto(y))
    assert not found.done
    assert [reason.split(":")[0] for reason in found.left.values()] == [
        "a depthwise convolution of elements without bounds",
        "too small",
    ]
    assert not any(n.output.dtype is DType.I32 for n in graph.nodes)
    weight = random(48, 64)
    weight[3, 4] = np.inf
    net = Net(FEEDS)
    _, found = quantized(net.proto(net("MatMul", "x", weight)))
    assert list(found.left.values()) == ["a weight is not finite"]


def test_tables_have_a_scale_for_each_row() -> None:
    net = Net({"ids": np.array([[3, 0, 99]])})
    table = random(100, 64) * np.logspace(-2, 2, 100, dtype=np.float32)[:, None]
    proto = net.proto(net("Mul", net("Gather", table, "ids", axis=0), 2.0))
    graph, found = quantized(proto)
    assert len(found.done) == 1
    assert sorted(t.dtype.value for t in lower(graph).weights()) == ["float32", "int8"]
    (wanted,) = runtime(proto, net.feeds).values()
    for result in results(graph, net.feeds):
        assert (np.abs(result - wanted) <= np.abs(wanted).max(-1, keepdims=True) / 253).all()


def test_bounds() -> None:
    """What ops tell of the least and the most that they give."""
    net = Net(FEEDS)
    relu, sigmoid = net("Relu", "x"), net("Sigmoid", "x")
    made = {
        net("Add", relu, sigmoid): (0.0, None),
        net("Mul", relu, "x"): (None, None),
        net("Clip", "x", -1.5, 3.0): (-1.5, 3.0),
        net("Transpose", net("Softmax", "x"), perm=[0, 2, 1]): (0.0, 1.0),
        net("Tanh", "x"): (None, 1.0),
        net("HardSwish", "x"): (-0.375, None),
        net("Concat", sigmoid, net("Relu", net("Min", "x", 2.0)), axis=1): (0.0, 2.0),
    }
    graph = imported(net.proto(*made))
    optimise(graph)
    assert [(lower_bound(v), upper_bound(v)) for v in graph.outputs] == list(made.values())
