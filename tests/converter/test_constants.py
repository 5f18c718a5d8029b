"""Numbers that alone tell kernels apart become operands; all else stays as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyruntime_converter.build import build_pack
from pyruntime_converter.lowering.constants import NAME, lift_constants
from pyruntime_converter.lowering.lower import lower
from pyruntime_wasm.kernels import kernel_for

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Graph
from pyruntime.ir.kernel import KernelCall, Map, MatMul
from pyruntime.ir.program import Program
from pyruntime.ir.scalar import Const, walk
from pyruntime.ops.builder import Builder
from pyruntime.ops.interpret import run_program
from pyruntime.ops.run_graph import run_graph
from pyruntime.pack.reader import Pack
from pyruntime.pack.schema import Model
from tests.converter.compare import assert_close

SCALES = (0.1, 0.3, 1.7)
ZEROS = (3, -100, 127)


def layers() -> Graph:
    """Three products, each with a scale and a zero point of its own, as quantised layers have them."""
    rng, graph = np.random.default_rng(0), Graph("layers")
    builder = Builder(graph)
    x = builder.input("x", DType.F32, (5, 8))
    for scale, zero in zip(SCALES, ZEROS, strict=True):
        w = builder.constant(rng.standard_normal((8, 8)).astype(np.float32))
        y = builder.one("Mul", builder.one("MatMul", x, w), builder.constant(np.array(scale, np.float32)))
        whole = builder.one(
            "Cast", builder.one("Mul", y, builder.constant(np.array(16, np.float32))), to=DType.I32
        )
        shifted = builder.one("Sub", whole, builder.constant(np.array(zero, np.int32)))
        x = builder.one("Relu", builder.one("Cast", shifted, to=DType.F32))
    graph.outputs, graph.output_names = [x], ["y"]
    return graph


def codes(program: Program) -> set[object]:
    """What Wasm compiles."""
    return {kernel_for(c).key(c) for c in program.calls}


def literals(call: KernelCall) -> set[float]:
    """The numbers in a call's body."""
    assert isinstance(call, (Map, MatMul))
    return {n.value for n in walk(call.body) if isinstance(n, Const)}


def test_layers_share_a_kernel() -> None:
    """What differs is loaded, integers too; what all have in common is not."""
    graph, x = layers(), np.random.default_rng(1).standard_normal((5, 8)).astype(np.float32)
    program = lower(graph)
    assert len(codes(program)) == len(program.calls) == 3
    constants = lift_constants([program])
    assert len(codes(program)) == 1
    assert constants is not None
    assert constants.array is not None
    assert constants in program.weights()
    assert {np.float32(s) for s in (*SCALES, *ZEROS)} == set(constants.array)
    for call in program.calls:
        assert literals(call) == {16.0, 0.0}
    (expected,) = run_graph(graph, {"x": x}).values()
    (made,) = run_program(program, [x], {})
    assert_close(made.reshape(expected.shape), expected, 1e-6)


@pytest.mark.parametrize("number", [np.nan, np.inf, 2**24 + 1])
def test_numbers_that_a_float_does_not_hold_stay(number: float) -> None:
    graph = Graph("odd")
    builder = Builder(graph)
    dtype = DType.I32 if isinstance(number, int) else DType.F32
    x = builder.input("x", dtype, (3,))
    made = [builder.one("Mul", x, builder.constant(np.array(n, dtype.value))) for n in (number, 5)]
    graph.outputs, graph.output_names = made, ["y0", "y1"]
    program = lower(graph)
    assert lift_constants([program]) is None
    assert [literals(c) for c in program.calls][1] == {5}


@pytest.mark.parametrize(
    ("numbers", "whole"),
    [((3.0, -100.0), True), ((3.0, 0.5), False), ((3.0, -0.0), False), ((3.0, 1e9), False)],
)
def test_whole_floats_are_told_by_the_tree(numbers: tuple[float, ...], whole: bool) -> None:
    """By a cast to integers and back, which changes none of them."""
    graph = Graph("moved")
    builder = Builder(graph)
    x = builder.input("x", DType.F32, (3,))
    graph.outputs = [builder.one("Mul", x, builder.constant(np.array(n, np.float32))) for n in numbers]
    graph.output_names = ["y0", "y1"]
    program = lower(graph)
    assert lift_constants([program]) is not None
    for call in program.calls:
        assert isinstance(call, Map)
        assert any(n.dtype is DType.I32 for n in walk(call.body)) is whole
    made = run_program(program, [np.array([1.0, -2.0, 0.3], np.float32)], {})
    for array, n in zip(made, numbers, strict=True):
        expected = np.array([1.0, -2.0, 0.3], np.float32) * np.float32(n)
        np.testing.assert_array_equal(array.reshape(3), expected)
        np.testing.assert_array_equal(np.signbit(array.reshape(3)), np.signbit(expected))


def test_shaders_keep_to_eight_buffers() -> None:
    """A call that has them all gets no further tensor."""
    graph = Graph("wide")
    builder = Builder(graph)
    inputs = [builder.input(f"x{i}", DType.F32, (3,)) for i in range(7)]
    for scale in SCALES:
        total = inputs[0]
        for x in inputs[1:]:
            total = builder.one(
                "Add", total, builder.one("Mul", x, builder.constant(np.array(scale, np.float32)))
            )
        graph.outputs.append(total)
        graph.output_names.append(f"y{scale}")
    program = lower(graph)
    assert {len(c.tensors()) for c in program.calls} == {8}
    assert all(isinstance(c, Map) for c in program.calls)
    assert lift_constants([program]) is None


@pytest.mark.webgpu
def test_halved_weights_leave_them_exact(tmp_path: Path) -> None:
    import pyruntime

    graph, x = layers(), np.random.default_rng(2).standard_normal((5, 8)).astype(np.float32)
    (expected,) = run_graph(graph, {"x": x}).values()
    build_pack(
        [graph], tmp_path / "pack", Model("layers", "onnx", "0" * 64, 17), targets=("webgpu",), weights="f16"
    )
    with Pack(tmp_path / "pack") as opened:
        stored = {t.name: t.dtype for t in opened.manifest.weights.tensors}
    assert stored.pop(NAME) is DType.F32
    assert set(stored.values()) == {DType.F16}
    with pyruntime.load(tmp_path / "pack", device="webgpu") as session:
        (made,) = session.run({"x": x}).values()
    # weights have 11 bits, and steps of 1 follow
    assert np.median(np.abs(np.asarray(made) - expected)) <= 1
