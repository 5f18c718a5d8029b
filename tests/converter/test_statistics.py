"""Values of rows for WebGPU: which reductions become one call, which two, and what stays as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.targets.statistics import combine_rows

from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Map, Reduction, Row
from pyruntime.ir.program import Program
from pyruntime.ir.scalar import Acc, Load, call, cast
from pyruntime.ir.views import Kind, Tensor, View
from pyruntime.ops.interpret import run_program
from tests.frontends.onnx_models import random, runtime, same
from tests.passes.net import Net, Shapes, ints, optimised

F32 = DType.F32
# names, elements and kinds of the tensors of rows made by hand
PARTS: tuple[tuple[str, int, Kind], ...] = (
    ("x", 12, "input"),
    ("least", 3, "temporary"),
    ("reach", 3, "temporary"),
    ("out", 3, "temporary"),
)
SHAPE = (3, 40, 24)
X = random(*SHAPE, seed=1, low=-3, high=2)


def programs(
    net: Net, *outputs: str, exact: bool = True, symbols: Mapping[str, int] = MappingProxyType({})
) -> tuple[Program, Program]:
    """As lowered, and combined: equal results, which are those of ONNX Runtime."""
    proto = net.proto(*outputs)
    graph = optimised(proto)
    program = lower(graph)
    changed = combine_rows(program)
    fed = [net.feeds[v.name] for v in graph.inputs]
    results = run_program(changed, fed, symbols)
    for one, other in zip(run_program(program, fed, symbols), results, strict=True):
        np.testing.assert_allclose(one, other, rtol=0 if exact else 1e-5)
    expected = runtime(proto, net.feeds)
    shaped = zip(graph.output_names, results, strict=True)
    same({n: r.reshape(expected[n].shape) for n, r in shaped}, expected, 1e-5)
    return program, changed


def rows(program: Program) -> list[Row]:
    return [c for c in program.calls if isinstance(c, Row)]


def scaled(net: Net, x: str, *axes: int, keep: int = 1) -> str:
    """x over the range of its rows: the least element has two readers, and the range needs it, too."""
    least = net("ReduceMin", x, ints(*axes), keepdims=keep)
    reach = net("Sub", net("ReduceMax", x, ints(*axes), keepdims=keep), net("Exp", least))
    return net("Div", net("Sub", x, net("Exp", least)), reach)


@pytest.mark.parametrize("shape", [(3, 5000), ("rows", "width")])
def test_one_call_for_the_same_rows(shape: tuple[int | str, ...]) -> None:
    """Shorter rows of a known length are walked through by what reads these values, too."""
    shapes: Shapes = {"x": shape}
    net = Net({"x": random(3, 5000, seed=1, low=-3, high=2)}, shapes)
    symbols = {"rows": 3, "width": 5000} if "rows" in shape else {}
    before, after = programs(net, scaled(net, "x", -1), symbols=symbols)
    assert (len(rows(before)), len(rows(after))) == (2, 1)
    (joined,) = rows(after)
    assert len(joined.asides) == 1
    assert len(joined.reductions) == 2


def test_a_chain_of_three() -> None:
    net = Net({"x": X})
    least = net("ReduceMin", "x", ints(-1), keepdims=1)
    reach = net("Sub", net("ReduceMax", "x", ints(-1), keepdims=1), least)
    power = net("ReduceSum", net("Mul", net("Sub", "x", least), "x"), ints(-1), keepdims=1)
    outputs = net("Add", net("Mul", "x", reach), net("Div", power, net("Add", reach, least)))
    before, after = programs(net, outputs)
    assert len(rows(after)) < len(rows(before))


@pytest.mark.parametrize("symbolic", [False, True])
def test_what_a_norm_makes(symbolic: bool) -> None:
    """It gives the range of each row with the row, and whoever reads both reads one tensor."""
    net = Net({"x": X}, {"x": ["batch", "length", 24] if symbolic else SHAPE})
    symbols = {"batch": SHAPE[0], "length": SHAPE[1]} if symbolic else {}
    normal = net("LayerNormalization", "x", net.weight(24), net.weight(24), axis=-1)
    least, most = (net(op, normal, ints(-1), keepdims=1) for op in ("ReduceMin", "ReduceMax"))
    reach = net("Sub", most, least)
    product = net("MatMul", normal, net.weight(24, 16))
    outputs = net("Mul", product, reach), net("Add", net("MatMul", normal, net.weight(24, 8)), least)
    before, after = programs(net, *outputs, exact=False, symbols=symbols)
    assert len(rows(before)) > len(rows(after)) == 1
    assert rows(after)[0].elementwise
    assert rows(after)[0].asides


@pytest.mark.parametrize("kept", ["output", "rows", "between"])
def test_what_stays(kept: str) -> None:
    """What is an output of the model, of other rows, or needs more than rows between."""
    net = Net({"x": X, "y": X[0]})
    least = net("ReduceMin", "x", ints(-1), keepdims=1)
    other = net("Exp", "x") if kept == "rows" else "x"
    axes = ints(-2) if kept == "rows" else ints(-1)
    wanted = net("MatMul", net("Transpose", least, perm=[0, 2, 1]), "y") if kept == "between" else least
    reach = net("ReduceMax", net("Mul", other, wanted), axes, keepdims=1)
    outputs = [net("Mul", net("Mul", "x", reach), least)] + ([least] if kept == "output" else [])
    before, after = programs(net, *outputs)
    assert len(rows(before)) == len(rows(after)) > 1
    assert not any(c.asides for c in rows(after))


@pytest.mark.parametrize(
    ("shape", "parts"),
    [((2, 100, 100), 2), ((2, 8209), 1), ((2, 100, 20), 1), ((40, 100, 100), 1), (("n", 300, "m"), 2)],
)
def test_long_rows_in_parts(shape: tuple[int | str, ...], parts: int) -> None:
    """If there are few, which can be divided: by a prime number they cannot."""
    symbols = {"n": 2, "m": 40} if "n" in shape else {}
    x = random(*(symbols[d] if isinstance(d, str) else d for d in shape), seed=2, low=-3, high=2)
    net = Net({"x": x}, {"x": shape})
    axes = range(0 if symbols else 1, x.ndim)
    least, total = (net(op, "x", ints(*axes), keepdims=1) for op in ("ReduceMin", "ReduceSum"))
    before, after = programs(net, net("Add", least, net("Abs", total)), exact=False, symbols=symbols)
    assert len(rows(after)) == len(rows(before)) * parts


def test_nan_in_a_part() -> None:
    x = random(1, 128, 128, seed=3)
    x[0, 100, 5] = np.nan
    net = Net({"x": x})
    found = [net(op, "x", ints(1, 2)) for op in ("ReduceMax", "ReduceMin")]
    program = combine_rows(lower(optimised(net.proto(*found))))
    assert len(rows(program)) == 4
    assert np.isnan(run_program(program, [x], {})).all()


@pytest.mark.parametrize(("dtype", "calls"), [(DType.F32, 2), (DType.F64, 3)])
def test_what_is_left_to_the_cpu_stays_apart(dtype: DType, calls: int) -> None:
    """There is no float64 in WGSL."""
    x, least, reach, out = (Tensor(n, F32, s, k) for n, s, k in PARTS)
    points, each = View(x, 0, (4, 1)), (1, 0)
    first = Row(
        name="row least",
        inputs=(points,),
        output=View(least, 0, each),
        sizes=(3, 4),
        reduced=1,
        reductions=(Reduction("min", cast(Load(F32, 0), dtype)),),
        body=cast(Acc(dtype, 0), F32),
    )
    scaled = call("mul", Load(F32, 0), Load(F32, 1))
    second = replace(
        first,
        name="row reach",
        inputs=(points, View(least, 0, each)),
        output=View(reach, 0, each),
        reductions=(Reduction("max", scaled),),
        body=Acc(F32, 0),
    )
    last = Map(
        name="map",
        inputs=(View(least, 0, (1,)), View(reach, 0, (1,))),
        output=View(out, 0, (1,)),
        sizes=(3,),
        body=call("sub", Load(F32, 0), Load(F32, 1)),
    )
    program = Program("p", [], [x], [out], [first, second, last])
    combined = combine_rows(program)
    assert len(combined.calls) == calls
    fed = [random(12, seed=4)]
    for one, other in zip(run_program(program, fed, {}), run_program(combined, fed, {}), strict=True):
        np.testing.assert_array_equal(one, other)
