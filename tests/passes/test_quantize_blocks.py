"""quantize="int4" and "int8-weights": which weights become levels, how near they stay, and what stays."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.passes import optimise
from pyruntime_converter.passes.quantize import Quantization, Quantized
from pyruntime_converter.passes.quantize_blocks import block_levels

from pyruntime.ir.graph import Graph
from pyruntime.ir.kernel import MatMul
from pyruntime.ops.interpret import run_program
from pyruntime.ops.run_graph import bind_symbols, run_graph
from tests.frontends.onnx_models import imported, random, runtime
from tests.passes.net import Net, ints

Array = NDArray[Any]
FEEDS = {"x": random(2, 7, 48)}
FORMS: list[tuple[Quantization, float]] = [("int4", 0.99), ("int8-weights", 0.9999)]


def quantized(net: Net, out: str, form: Quantization) -> tuple[Graph, Quantized]:
    """The graph, which gives as its kernel calls do."""
    graph, found = imported(net.proto(out)), Quantized(form)
    optimise(graph, found)
    (whole,) = run_graph(graph, net.feeds).values()
    feeds = [net.feeds[v.name] for v in graph.inputs]
    called = run_program(lower(graph), feeds, bind_symbols(graph, net.feeds))[0].reshape(whole.shape)
    np.testing.assert_allclose(called, whole, rtol=1e-5, atol=1e-5 * float(np.nanmax(np.abs(whole))))
    return graph, found


def cosine(a: Array, b: Array) -> float:
    return float(np.sum(a * b) / np.linalg.norm(a) / np.linalg.norm(b))


def check(net: Net, out: str, form: Quantization, least: float) -> tuple[Graph, Quantized]:
    """The quantised graph, whose result is at this angle to ONNX Runtime's at most."""
    (wanted,) = runtime(net.proto(out), net.feeds).values()
    graph, found = quantized(net, out, form)
    (result,) = run_graph(graph, net.feeds).values()
    assert (result.dtype, result.shape) == (wanted.dtype, wanted.shape)
    assert cosine(result.astype(np.float64), wanted.astype(np.float64)) >= least
    return graph, found


@pytest.mark.parametrize("bits", [4, 8])
def test_levels(bits: int) -> None:
    """The largest weight of a block, of either sign, takes the outermost level; zeros stay zeros."""
    weight = random(3, 50)
    weight[1] = 0
    weight[2, 40] = 9
    levels, scales = block_levels(weight, bits, 16)
    middle = 1 << (bits - 1)
    assert (levels.shape, scales.shape) == ((3, 50), (3, 4))
    near = (levels.astype(np.float32) - middle) * scales.repeat(16, axis=1)[:, :50]
    assert not near[1].any()
    assert np.isfinite(scales).all()
    assert levels[2, 40] == 0
    for block in range(4):
        part = slice(16 * block, 16 * block + 16)
        off, most = np.abs(near[:, part] - weight[:, part]), np.abs(weight[:, part]).max(1, keepdims=True)
        # the best of several scales may cut the largest
        assert (off <= most * (0.21 if bits == 4 else 0.01)).all()
        assert (np.square(off).sum(1) <= 16 * np.square(most[:, 0] / middle) / 6).all()


@pytest.mark.parametrize("size", [1e-30, 1e-9, 1e30])
def test_scales_beyond_half_precision(size: float) -> None:
    """Keep float32; no square of an error is lost."""
    levels, scales = block_levels(random(2, 32) * np.float32(size), 4)
    near = (levels.astype(np.float64) - 8) * scales
    assert cosine(near / size, random(2, 32)) >= 0.99


@pytest.mark.parametrize(("form", "least"), FORMS)
def test_products_and_tables(form: Quantization, least: float) -> None:
    """Gathered and sliced rows; products, whose depth is no multiple of a block, with an epilogue."""
    net = Net({"ids": np.array([[3, 0, 99], [7, 7, 1]])}, {"ids": ["batch", "length"]})
    places = net("Slice", net.weight(128, 40), ints(0), net("Shape", "ids", start=1), ints(0))
    x = net("Add", net("Gather", net.weight(150, 40), "ids", axis=0), places)
    y = net("Relu", net("Add", net("MatMul", x, net.weight(40, 72)), net.weight(72)))
    graph, found = check(net, net("MatMul", y, net.weight(72, 48)), form, least)
    assert not found.left
    assert [name.split()[0] for name in found.done] == ["Slice", "Gather", "MatMul", "MatMul"]
    calls = [c for c in lower(graph).calls if isinstance(c, MatMul)]
    assert [c.blocks is not None and c.blocks.bits for c in calls] == [4 if form == "int4" else 8] * 2


def test_half_precision() -> None:
    """A model in float16 stays one."""
    net = Net({"x": random(5, 64).astype(np.float16)})
    weight = random(64, 40).astype(np.float16)
    check(net, net("MatMul", "x", net.constant(weight)), "int8-weights", 0.999)


def test_what_is_not_finite_goes_where_it_went() -> None:
    net = Net({"x": random(3, 64)})
    out = net("MatMul", "x", net.weight(64, 40))
    net.feeds["x"][1, 5], net.feeds["x"][2, 9] = np.nan, np.inf
    graph, found = imported(net.proto(out)), Quantized("int4")
    optimise(graph, found)
    (result,) = run_graph(graph, net.feeds).values()
    assert np.isfinite(result[0]).all()
    assert np.isnan(result[1]).all()
    assert not np.isfinite(result[2]).any()


def test_what_stays() -> None:
    """And why."""
    net = Net(FEEDS)
    small = net("MatMul", "x", net.weight(48, 8))
    stack = net("MatMul", "x", net.weight(2, 48, 40))
    infinite = random(48, 40)
    infinite[3, 3] = np.inf
    whole = net("Concat", small, stack, net("MatMul", "x", infinite), axis=2)
    graph, found = imported(net.proto(whole)), Quantized("int4")
    optimise(graph, found)
    assert not found.done
    assert Counter(reason.partition(":")[0] for reason in found.left.values()) == {
        "too small": 1,
        "an operand is a vector or a stack of matrices": 1,
        "a weight is not finite": 1,
    }
