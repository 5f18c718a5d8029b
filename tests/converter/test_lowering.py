"""Every golden case through passes and lowering, run by the reference executor, equals the op's reference."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.passes import optimise

from pyruntime.errors import UnsupportedNodesError
from pyruntime.ir.dims import symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Graph, Origin, Shape, Value
from pyruntime.ir.kernel import Conv, Map
from pyruntime.ops.builder import Builder
from pyruntime.ops.interpret import run_program
from pyruntime.ops.run_graph import run_graph
from tests.converter.compare import assert_close
from tests.golden.cases import Golden, goldens


@pytest.mark.parametrize("golden", [pytest.param(g, id=g.name) for g in goldens()])
def test_case(golden: Golden) -> None:
    """Lowered once, interpreted at each size."""
    graph = golden.graph()
    optimise(graph)
    program = lower(graph)
    symbols = [
        (n, i, v.shape.index(d)) for i, v in enumerate(graph.inputs) for d in v.shape for n in [str(d)]
    ]
    for run in golden.runs():
        fed = [run.feeds[v.name] for v in graph.inputs]
        sizes = {name: fed[i].shape[axis] for name, i, axis in symbols}
        actual = run_program(program, fed, sizes)
        for result, (_, expected) in zip(actual, run.outputs.items(), strict=True):
            assert_close(result.reshape(expected.shape), expected, golden.tolerance)


def test_concat_of_pending_kernels_needs_no_copy() -> None:
    """Each operand's kernel stores straight to its part of the concatenation."""
    graph = Graph("concat")
    builder = Builder(graph)
    x = builder.input("x", DType.F32, (4, 6))
    w = builder.constant(np.arange(30, dtype=np.float32).reshape(6, 5))
    products = [builder.one(op, builder.one("MatMul", x, w)) for op in ("Relu", "Exp")]
    graph.outputs, graph.output_names = [builder.one("Concat", *products, axis=1)], ["y"]
    program = lower(graph)
    assert [c.template for c in program.calls] == ["matmul", "matmul"]


@pytest.mark.parametrize("kernel", [1, 3])
def test_a_convolution_stores_an_output_of_the_model_where_it_is_wanted(kernel: int) -> None:
    """Channels first, by its own kernel; what another node reads too stays channels last, and is copied."""
    rng, pad = np.random.default_rng(0), kernel // 2
    window: dict[str, Any] = {"kernel": (2, 2), "strides": (1, 1), "dilations": (1, 1), "pads": (0, 0, 0, 0)}
    for read in (False, True):
        graph = Graph("heads")
        builder = Builder(graph)
        x = builder.input("x", DType.F32, (1, 4, 5, 6))
        w = builder.constant(rng.standard_normal((3, 4, kernel, kernel)).astype(np.float32))
        y = builder.one("Conv", x, w, strides=(1, 1), dilations=(1, 1), pads=(pad, pad, pad, pad), group=1)
        graph.outputs = [y, builder.one("MaxPool", y, **window)] if read else [y]
        graph.output_names = [f"y{i}" for i in range(len(graph.outputs))]
        feed = rng.standard_normal((1, 4, 5, 6)).astype(np.float32)
        expected = run_graph(graph, {"x": feed}).values()
        program = lower(graph)
        made = [c.template for c in program.calls]
        first = "matmul" if kernel == 1 else "conv"
        assert made == ([first, "pool", "map", "map"] if read else [first])
        for result, wanted in zip(run_program(program, [feed], {}), expected, strict=True):
            np.testing.assert_allclose(result.reshape(wanted.shape), wanted, rtol=1e-5, atol=1e-5)


def test_repeated_pixels_stay_channels_last() -> None:
    """Between convolutions nearest neighbours are copies of whole pixels; an output is row-major at once."""
    rng = np.random.default_rng(0)
    graph = Graph("pyramid")
    builder = Builder(graph)
    x = builder.input("x", DType.F32, (1, 4, 5, 6))

    def conv(value: Value, channels: int) -> Value:
        w = builder.constant(rng.standard_normal((7, channels, 3, 3)).astype(np.float32))
        geometry: dict[str, Any] = {"strides": (1, 1), "dilations": (1, 1), "pads": (1, 1, 1, 1), "group": 1}
        return builder.one("Conv", value, w, **geometry)

    def doubled(value: Value) -> Value:
        n, c, h, w = value.shape
        split = builder.one("Reshape", value, shape=(n, c, h, 1, w, 1))
        wide = builder.one("Expand", split, shape=(n, c, h, 2, w, 2))
        return builder.one("Reshape", wide, shape=(n, c, h * 2, w * 2))

    y = doubled(conv(x, 4))
    z = conv(builder.one("Concat", y, builder.one("Sin", y), axis=1), 14)
    graph.outputs, graph.output_names = [z, doubled(y)], ["z", "large"]
    feed = rng.standard_normal((1, 4, 5, 6)).astype(np.float32)
    expected = run_graph(graph, {"x": feed}).values()
    program = lower(graph)
    (last,) = [c for c in program.calls if isinstance(c, Conv) and c.in_channels == 14]
    assert last.x.strides == (14 * 120, 14 * 12, 14, 1)
    maps = [c for c in program.calls if isinstance(c, Map)]
    assert [c.output.strides[-1] for c in maps] == [1] * len(maps)
    assert [c.output.tensor for c in maps].count(program.outputs[1]) == 1
    for result, wanted in zip(run_program(program, [feed], {}), expected, strict=True):
        np.testing.assert_allclose(result.reshape(wanted.shape), wanted, rtol=1e-5, atol=1e-5)


def test_small_concats_within_one_another_are_one_kernel() -> None:
    """What streaming models do to hand all their states on as one tensor."""
    graph = Graph("states")
    builder = Builder(graph)
    parts = [builder.input(f"x{i}", DType.F32, (1, 3)) for i in range(4)]
    pairs = [builder.one("Concat", *parts[i : i + 2], axis=0) for i in (0, 2)]
    split = [builder.one("Reshape", pair, shape=(2, 3, 1)) for pair in pairs]
    graph.outputs, graph.output_names = [builder.one("Concat", *split, axis=2)], ["y"]
    program = lower(graph)
    assert [c.template for c in program.calls] == ["map"]
    given = [np.arange(3, dtype=np.float32)[None] + 10 * i for i in range(4)]
    (actual,) = run_program(program, given, {})
    expected = np.concatenate([np.concatenate(given[i : i + 2])[..., None] for i in (0, 2)], axis=2)
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("shape", [(2**62, 3), (symbol("n"), 2**62, 3), (symbol("n"), 2**31)])
def test_tensors_that_no_memory_holds(shape: Shape) -> None:
    graph = Graph("huge")
    builder = Builder(graph)
    builder.origin = Origin("Relu", "big")
    graph.outputs, graph.output_names = [builder.one("Relu", builder.input("x", DType.F32, shape))], ["y"]
    with pytest.raises(UnsupportedNodesError, match="elements, and targets count up to") as caught:
        lower(graph)
    assert [(e.op, e.node) for e in caught.value.entries] == [("Input", "x"), ("Relu", "big")]
    lower(graph, [])  # to look at


@pytest.mark.parametrize("op", ["LayerNormalization", "RMSNormalization"])
def test_a_sum_of_many_tensors_before_a_normalisation(op: str) -> None:
    """What is summed and the scale are more tensors than a kernel may read, so the sum is stored first."""
    graph = Graph("sum")
    builder = Builder(graph)
    values = [builder.input(f"x{i}", DType.F32, (3, 5)) for i in range(7)]
    total = functools.reduce(lambda a, b: builder.one("Add", a, b), values)
    scale = builder.constant(np.arange(5, dtype=np.float32))
    graph.outputs, graph.output_names = [builder.one(op, total, scale, axis=1)], ["y"]
    program = lower(graph)
    assert [c.template for c in program.calls] == ["map", "row"]
    fed = [np.random.default_rng(i).standard_normal((3, 5)).astype(np.float32) for i in range(7)]
    (expected,) = run_graph(graph, {f"x{i}": a for i, a in enumerate(fed)}).values()
    assert_close(run_program(program, fed, {})[0].reshape(3, 5), expected, 1e-6)
