"""Ranges for WebGPU: which reductions are of extremes that products and attention tell, and what stays."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pytest
from numpy.typing import NDArray
from pyruntime_converter.account import bounds
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.targets.extremes import SPAN, tell_extremes
from pyruntime_converter.targets.statistics import combine_rows

from pyruntime.ir.cost import traffic
from pyruntime.ir.dims import Dim
from pyruntime.ir.extremes import Extremes
from pyruntime.ir.kernel import KernelCall, Row
from pyruntime.ir.program import Program
from pyruntime.ir.symbols import evaluate
from pyruntime.ops.interpret import run_program
from tests.frontends.onnx_models import random, runtime, same
from tests.passes.net import Net, Shapes, ints, optimised

ROWS, DEPTH, COLUMNS = 7, 12, 40
RANGE = ("ReduceMin", "ReduceMax")


def whole(*shape: int) -> NDArray[np.int8]:
    return np.random.default_rng(shape).integers(-100, 100, shape, dtype=np.int8)


def programs(
    net: Net, *outputs: str, symbols: Mapping[str, int] = MappingProxyType({})
) -> tuple[Program, Program]:
    """Before and after: equal bits, whatever is no number, and near what ONNX Runtime gives."""
    proto = net.proto(*outputs)
    graph = optimised(proto)
    program = combine_rows(lower(graph))
    changed = tell_extremes(program)
    fed = [net.feeds[v.name] for v in graph.inputs]
    spoilt = [f.copy() for f in fed]
    for values in (f for f in spoilt if f.dtype == np.float32):
        values.ravel()[[1, 4]] = np.nan, np.inf
    for given in (spoilt, fed):
        results = run_program(program, given, symbols)
        for one, other in zip(results, run_program(changed, given, symbols), strict=True):
            np.testing.assert_array_equal(one, other)
    expected = runtime(proto, net.feeds)
    shaped = zip(graph.output_names, results, strict=True)
    same({n: r.reshape(expected[n].shape) for n, r in shaped}, expected, 1e-4)
    return program, changed


def telling(program: Program) -> list[Extremes]:
    found = (getattr(c, "extremes", None) for c in program.calls)
    return [e for e in found if e is not None]


def reduced(calls: list[KernelCall]) -> list[tuple[Dim, ...]]:
    """The sizes that are reduced."""
    return [c.sizes[len(c.sizes) - c.reduced :] for c in calls if isinstance(c, Row) and not c.elementwise]


def product(net: Net, columns: int = COLUMNS) -> str:
    """A product of 8-bit integers, in floats."""
    sums = net("Cast", net("MatMulInteger", "x", whole(DEPTH, columns)), to=1)
    return net("Add", net("Mul", sums, 0.01), "bias")


def model(batch: tuple[int, ...] = (2, ROWS), columns: int = COLUMNS, names: bool = False) -> Net:
    x = whole(*batch, DEPTH)
    bias = random(*batch, 1, seed=3)
    rows = ("b", "rows") if names else batch
    shapes: Shapes = {"x": [*rows, DEPTH], "bias": [*rows, 1]}
    return Net({"x": x, "bias": bias}, shapes)


def ranges(net: Net, values: str, axes: tuple[int, ...], ops: tuple[str, ...] = RANGE) -> list[str]:
    """What else reads the values, and their extremes."""
    return [net("Softmax", values), *(net(op, values, ints(*axes), keepdims=1) for op in ops)]


@pytest.mark.parametrize("names", [False, True])
@pytest.mark.parametrize("ops", [RANGE, RANGE[1:]])
def test_of_each_row(ops: tuple[str, ...], names: bool) -> None:
    net = model(names=names)
    before, after = programs(
        net, *ranges(net, product(net), (-1,), ops), symbols={"b": 2, "rows": ROWS} if names else {}
    )
    (told,) = telling(after)
    assert len(told.told) == len(ops)
    assert {*reduced(before.calls)} == {(COLUMNS,)}
    assert {*reduced(after.calls)} == {(-(-COLUMNS // SPAN),)}


@pytest.mark.parametrize("names", [False, True])
def test_of_all(names: bool) -> None:
    net, symbols = model(names=names), {"b": 2, "rows": ROWS} if names else {}
    _, after = programs(net, *ranges(net, product(net), (0, 1, 2)), symbols=symbols)
    assert telling(after)
    assert {evaluate(s, symbols) for sizes in reduced(after.calls) for s in sizes} == {2 * ROWS * 3}


def test_of_magnitudes() -> None:
    net = model()
    values = product(net)
    most = net("ReduceMax", net("Abs", values), ints(-1), keepdims=1)
    _, after = programs(net, net("Softmax", values), most)
    assert [(e.combine, e.magnitude) for t in telling(after) for e in t.told] == [("max", True)]


def test_two_reductions_of_the_same_values() -> None:
    """Of rows and of all: what both want is told once."""
    net = model()
    values = product(net)
    _, after = programs(net, *ranges(net, values, (-1,)), net("ReduceMax", values, ints(0, 1, 2)))
    (told,) = telling(after)
    assert len(told.told) == 2


@pytest.mark.parametrize("shape", [(1, 16), (1, 17), (33, 48)])
def test_sizes(shape: tuple[int, int]) -> None:
    rows, columns = shape
    net = model((1, rows + 4), columns)
    _, after = programs(net, *ranges(net, product(net, columns), (-1,)))
    assert telling(after)


@pytest.mark.parametrize("axes", [(1,), (0, 1, 2, 3)])
def test_of_images(axes: tuple[int, ...]) -> None:
    x = whole(2, 5, 6, 7)
    net = Net({"x": x})
    sums = net("Cast", net("ConvInteger", "x", whole(24, 5, 3, 3)), to=1)
    _, after = programs(net, *ranges(net, net("Mul", sums, 0.01), axes))
    assert telling(after)


@pytest.mark.parametrize(("width", "runs"), [(20, 2), (32, 1), (64, 1), (96, 3)])
@pytest.mark.parametrize("axes", [(-1,), (0, 1, 2)])
def test_of_attention(axes: tuple[int, ...], width: int, runs: int) -> None:
    """The heads of a row lie side by side."""
    batch, heads, rows = 2, 3, 9
    net = Net({n: random(batch, heads, rows, width, seed=i) for i, n in enumerate("qkv")})
    scores = net("Mul", net("MatMul", "q", net("Transpose", "k", perm=[0, 1, 3, 2])), 0.5)
    values = net("MatMul", net("Softmax", scores, axis=-1), "v")
    merged = net("Reshape", net("Transpose", values, perm=[0, 2, 1, 3]), ints(0, 0, -1))
    _, after = programs(net, *ranges(net, merged, axes))
    assert telling(after)
    assert reduced(after.calls)[0] == (heads * runs * (1 if axes == (-1,) else batch * rows),)


@pytest.mark.parametrize("kept", ["output", "columns", "few", "part", "sum", "floats", "more"])
def test_what_stays(kept: str) -> None:
    """Values that are an output, or whose rows are no runs; and what is not a reduction of these alone."""
    columns = 9 if kept == "few" else COLUMNS
    net = model(columns=columns)
    values = net("MatMul", "bias", net.weight(1, columns)) if kept == "floats" else product(net, columns)
    part = net("Slice", values, ints(8), ints(32), ints(2)) if kept == "part" else values
    axes = (-2,) if kept == "columns" else (-1,)
    outputs = ranges(net, part, axes, () if kept in ("sum", "more") else RANGE)
    if kept == "sum":
        outputs.append(net("Sub", *(net(op, values, ints(-1)) for op in ("ReduceMax", "ReduceSum"))))
    if kept == "more":
        outputs.append(net("ReduceMax", net("Sin", values), ints(-1)))
    outputs += [values] if kept == "output" else []
    before, after = programs(net, *outputs)
    assert not telling(after)
    assert before.calls == after.calls


def test_bytes() -> None:
    """Extremes are moved, but no reason to move more: the bound is what it was without them."""
    net = model((4, 64), 256)
    before, after = programs(net, *ranges(net, product(net, 256), (-1,)))
    moved = [sum(evaluate(traffic(c), {}) for c in p.calls) for p in (before, after)]
    values = 4 * 64 * 256 * 4
    assert moved[0] - moved[1] == 2 * values - 4 * values // SPAN
    assert bounds(before) == bounds(after)
