"""Left operands that products compute where they read them: which do, and what stays as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.targets.operands import compute_operands

import pyruntime
from pyruntime.ir.kernel import MatMul, Row
from pyruntime.ir.program import Program
from pyruntime.ops.interpret import run_program
from tests.frontends.onnx_models import random, runtime, same
from tests.passes.net import Array, Net, Shapes, ints, optimised

WIDTH, PLACES = 12, 14
SHAPES: Shapes = {"x": ["batch", "length", WIDTH], "gate": ["batch", 1, WIDTH], "ids": ["batch", PLACES]}
SIZES = ((2, 5), (1, 1), (3, 40))
EDGES = (np.nan, np.inf, -np.inf, 3e38, 0.0)


def feeds(batch: int, length: int) -> dict[str, Array]:
    """Numbers of which a row is all zeros."""
    made = {
        "x": random(batch, length, WIDTH, seed=1),
        "gate": random(batch, 1, WIDTH, seed=2),
        "ids": np.arange(batch * PLACES).reshape(batch, PLACES) % 7 % 5,
    }
    made["x"][0, 0] = 0
    return made


def net_of(*used: str) -> Net:
    given = feeds(2, 5)
    return Net({n: given[n] for n in used}, {n: SHAPES[n] for n in used})


def rms(net: Net, x: str) -> str:
    mean = net("ReduceMean", net("Mul", x, x), ints(-1), keepdims=1)
    root = net("Sqrt", net("Add", mean, 1e-5))
    return net("Mul", net("Div", x, root), net.weight(WIDTH))


def layer(net: Net, x: str, dtype: type[np.generic] = np.float32) -> str:
    scale, bias = (net.constant(random(WIDTH, seed=seed).astype(dtype)) for seed in (8, 9))
    return net("LayerNormalization", x, scale, bias, axis=-1, epsilon=1e-5)


def over_rows(net: Net) -> str:
    """Rows of a table, normalised along the sequence, seen two at a time."""
    rows = net("Reshape", net("Gather", net.weight(7, WIDTH), "ids"), ints(0, -1, 2 * WIDTH))
    mean = net("ReduceMean", rows, ints(1), keepdims=1)
    centred = net("Sub", rows, mean)
    variance = net("ReduceMean", net("Mul", centred, centred), ints(1), keepdims=1)
    return net("Div", centred, net("Sqrt", net("Add", variance, 1e-3)))


def programs(net: Net, *outputs: str) -> tuple[Program, Program]:
    """As lowered, and with operands computed; both must give what ONNX Runtime gives, whatever the sizes."""
    proto = net.proto(*outputs)
    graph = optimised(proto)
    program = lower(graph)
    changed = compute_operands(program)
    for batch, length in SIZES:
        fed = {v.name: feeds(batch, length)[v.name] for v in graph.inputs}
        expected = runtime(proto, fed)
        for made in (program, changed):
            results = run_program(made, list(fed.values()), {"batch": batch, "length": length})
            shaped = zip(graph.output_names, results, strict=True)
            same({n: r.reshape(expected[n].shape) for n, r in shaped}, expected, 1e-5)
    return program, changed


def computing(program: Program) -> int:
    """Products that compute their left operand."""
    return sum(isinstance(c, MatMul) and c.left is not None for c in program.calls)


def norms(program: Program) -> int:
    """Kernels that store all elements of rows."""
    return sum(isinstance(c, Row) and c.elementwise for c in program.calls)


@pytest.mark.parametrize("norm", [rms, layer])
def test_a_norm_leaves_what_rows_share(norm: object) -> None:
    net = net_of("x")
    assert callable(norm)
    normal = norm(net, "x")
    gate = net("Sigmoid", net("MatMul", normal, net.weight(WIDTH, 9)))
    before, after = programs(net, net("Mul", gate, net("MatMul", normal, net.weight(WIDTH, 9))))
    assert (norms(before), norms(after)) == (1, 0)
    assert len(after.calls) == len(before.calls)
    assert computing(after) == sum(isinstance(c, MatMul) for c in after.calls) > 0


def test_rows_of_a_table() -> None:
    """Statistics of columns, for each of the batch, and indices for parts of rows."""
    net = net_of("ids")
    before, after = programs(net, net("MatMul", over_rows(net), net.weight(2 * WIDTH, 5)))
    assert (norms(before), norms(after), computing(after)) == (1, 0, 1)
    (product,) = (c for c in after.calls if isinstance(c, MatMul))
    assert product.left is not None
    assert (product.left.rows, len(product.left.sizes)) == (2, 4)


def test_parts_of_rows() -> None:
    net = net_of("ids")
    halves = net("Reshape", net("Gather", net.weight(7, WIDTH), "ids"), ints(-1, WIDTH // 2))
    _, after = programs(net, net("MatMul", halves, net.weight(WIDTH // 2, 5)))
    (product,) = (c for c in after.calls if isinstance(c, MatMul))
    assert product.left is not None
    assert product.left.rows == 2


def test_one_column() -> None:
    """Of rows that no stride walks as one, where k has no axis."""
    net = net_of("x")
    column = net("Reshape", net("Abs", net("Transpose", "x", perm=[1, 0, 2])), ints(-1, 1))
    _, after = programs(net, net("MatMul", column, net.weight(1, 5)))
    (product,) = (c for c in after.calls if isinstance(c, MatMul))
    assert product.left is not None
    assert product.left.rows == len(product.left.sizes) > 1


def test_a_gate() -> None:
    net = net_of("x", "gate")
    gated = net("Mul", "x", net("Relu", "gate"))
    before, after = programs(net, net("MatMul", gated, net.weight(WIDTH, 5)))
    assert [c.template for c in before.calls] == ["map", "matmul"]
    assert [c.template for c in after.calls] == ["matmul"]


@pytest.mark.parametrize("kept", ["output", "reader", "dear", "wide", "right", "sums", "float64", "one"])
def test_what_stays(kept: str) -> None:
    """What something else needs, or costs much, by itself or for many columns, other operands, what the CPU
    computes, sums, and what is padded along an axis of which one is left."""
    net = net_of("x", "gate")
    if kept == "dear":
        made = net("Erf", net("Tanh", net("Mul", "x", "gate")))
    elif kept == "float64":
        made = net("Cast", layer(net, net("Cast", "x", to=11), np.float64), to=1)
    elif kept == "sums":
        made = net("Add", net("Mul", "x", "x"), net("Transpose", net("Sin", "x"), perm=[0, 1, 2]))
    elif kept == "one":
        padded = net("Pad", "x", ints(1, 0, 0, 0, 0, 0))
        made = layer(net, net("Slice", padded, ints(0), ints(1), ints(0)))
    else:
        made = layer(net, "x")
    if kept == "right":
        outputs = [net("MatMul", "x", net("Transpose", made, perm=[0, 2, 1]))]
    else:
        outputs = [net("MatMul", made, net.weight(WIDTH, 400 if kept == "wide" else 5))]
    outputs += [made] if kept == "output" else []
    outputs += [net("Add", made, "x")] if kept == "reader" else []
    before, after = programs(net, *outputs)
    assert [c.template for c in before.calls] == [c.template for c in after.calls]
    assert computing(after) == 0


def test_few_rows_stay() -> None:
    x = random(3, WIDTH, seed=4)
    net = Net({"x": x})
    program = lower(optimised(net.proto(net("MatMul", layer(net, "x"), net.weight(WIDTH, 5)))))
    assert computing(compute_operands(program)) == 0


@pytest.mark.webgpu
@pytest.mark.parametrize("made", ["gate", "norm"])
def test_float16_is_rounded_as_if_it_were_stored(made: str, tmp_path: Path) -> None:
    """A product by the identity, and without rounding behind it, gives the operand's elements."""
    net = net_of("x", *(["gate"] if made == "gate" else []))
    x = net("Cast", "x", to=10)
    if made == "gate":
        operand = net("Mul", x, net("Cast", "gate", to=10))
    else:
        scale = net.constant(random(WIDTH, seed=8).astype(np.float16))
        operand = net("LayerNormalization", x, scale, axis=-1)
    identity = net.constant(np.eye(WIDTH, dtype=np.float16))
    proto = net.proto(net("Cast", net("MatMul", operand, identity), to=1))
    program = lower(optimised(proto))
    assert computing(compute_operands(program)) == 1
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    pyruntime.convert(tmp_path / "m.onnx", tmp_path / "pack", targets=("webgpu",))
    fed = {n: feeds(2, 7)[n] for n in net.feeds}
    if made == "gate":
        fed["gate"][1] *= 3e4  # past the largest of float16 in places
    with pyruntime.load(tmp_path / "pack", device="webgpu") as session:
        (actual,) = session.run(fed).values()
    (expected,) = run_program(program, [*fed.values()], {"batch": 2, "length": 7})
    expected = expected.reshape(actual.shape)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(actual, actual.astype(np.float16).astype(np.float32))
    if made == "gate":
        np.testing.assert_array_equal(actual, expected)
    else:
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.webgpu
@pytest.mark.parametrize("norm", [rms, layer])
@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_in_packs(norm: object, kind: str, tmp_path: Path) -> None:
    """Where rows hold what is no number, so do those of the result, and no others."""
    net = net_of("x")
    assert callable(norm)
    x = net("Cast", net("Cast", "x", to=10), to=1) if kind == "float16" else "x"
    proto = net.proto(net("MatMul", norm(net, x), net.weight(WIDTH, 40)))
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    pyruntime.convert(
        tmp_path / "m.onnx",
        tmp_path / "pack",
        targets=("webgpu", "wasm"),
        weights="f16" if kind == "float16" else "f32",
    )
    for device in ("webgpu", "wasm"):
        with pyruntime.load(tmp_path / "pack", device=device) as session:
            for batch, length in ((1, 1), (1, 3), (2, 40)):
                x_fed = feeds(batch, length)["x"]
                for number, edge in enumerate(EDGES[: length - 1]):
                    x_fed[0, number + 1, number] = edge
                expected = runtime(proto, {"x": x_fed})
                (name,) = expected
                actual = session.run({"x": x_fed})[name]
                finite = np.isfinite(expected[name])
                assert finite.any()
                np.testing.assert_array_equal(np.isfinite(actual), finite)
                near = 1e-5 if kind == "float32" else 2e-3
                np.testing.assert_allclose(actual[finite], expected[name][finite], atol=near, rtol=near)
