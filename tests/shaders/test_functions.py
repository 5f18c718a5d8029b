"""Every scalar function, on a GPU, against NumPy: ordinary values, edges of the types, NaN and infinities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pyruntime_shaders.printer import TABLE, letter

from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Map
from pyruntime.ir.scalar import FUNCTIONS, Call, Const, Load, Scalar, call, cast
from pyruntime.ir.views import Tensor, View
from pyruntime.ops.evaluate import evaluate
from tests.kernels import webgpu_harness

pytestmark = pytest.mark.webgpu

DTYPES = (DType.F32, DType.I32, DType.I8, DType.U32, DType.U8, DType.I64, DType.U64, DType.BOOL)
# absolute and relative error, where more than 1e-6 of both; printer.py says why
ERRORS = {
    "pow": (1e-6, 1e-5),
    "tan": (1e-6, 1e-4),  # near its poles
    "exp": (1e-6, 4e-6),
    "sinh": (1e-6, 8e-6),
    "cosh": (1e-6, 8e-6),
    "asinh": (1e-6, 2e-6),
    "acosh": (1e-6, 2e-6),
    "atanh": (1e-6, 2e-6),
}
# what the drivers here do to NaN in plain arithmetic and comparisons is theirs (see printer.py)
PLAIN = {
    *(
        "add",
        "sub",
        "mul",
        "div",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "neg",
        "floor",
        "ceil",
        "round",
        "trunc",
    ),
    "sqrt",
}


def _values(dtype: DType) -> NDArray[Any]:
    if dtype is DType.BOOL:
        return np.array([False, True])
    if not dtype.is_float:
        limits = np.iinfo(dtype.value)
        near = [0, 1, 2, 3, 5, 7, 9, 31, 32, 33, 100]
        if dtype.bits == 64:
            near += [
                63,
                64,
                2**24 + 1,
                2**31,
                2**32 - 1,
                2**32,
                2**32 + 1,
                0x1234567890ABCDEF,
                3**30,
                2**62 + 2**38,
            ]
        return np.array(
            sorted({*near, *(-v for v in near if limits.min < 0), limits.min, limits.max, limits.max - 1}),
            dtype.value,
        )
    ordinary = [
        0.0,
        1e-20,
        1e-6,
        0.01,
        0.3,
        0.5,
        0.999,
        1.0,
        1.5,
        2.0,
        2.5,
        3.0,
        7.25,
        12.0,
        50.0,
        90.0,
        1e5,
        1e20,
    ]
    return np.array([*ordinary, *(-v for v in ordinary)], np.float32)


def map_call(tree: Scalar, dtypes: Sequence[DType], count: int) -> Map:
    """The tree over 1-D operands of these dtypes."""
    return Map(
        name="function",
        inputs=tuple(View(Tensor(f"x{i}", d, count), 0, (1,)) for i, d in enumerate(dtypes)),
        output=View(Tensor("y", tree.dtype, count), 0, (1,)),
        sizes=(count,),
        body=tree,
    )


def run(tree: Scalar, operands: Sequence[NDArray[Any]], tolerance: tuple[float, float] | None = None) -> None:
    """Compare a tree over 1-D operands with the reference."""
    call_ = map_call(tree, [DType(a.dtype.name) for a in operands], len(operands[0]))
    feeds = {v.tensor: a for v, a in zip(call_.inputs, operands, strict=True)}
    actual, expected = webgpu_harness.results([call_], feeds)[0]
    if not tree.dtype.is_float:
        np.testing.assert_array_equal(actual, expected)
        return
    atol, rtol = tolerance or (1e-6, 1e-6)
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)


def _domain(function: str, dtype: DType) -> bool:
    row = FUNCTIONS[function]
    return letter(dtype) in row.domain or (function in ("min", "max") and dtype is DType.BOOL)


CASES = [(f, d) for f in FUNCTIONS for d in DTYPES if _domain(f, d)]


def function_calls() -> Iterator[Map]:
    """Each function for each dtype, as a kernel call of its own."""
    for function, dtype in CASES:
        dtypes = [dtype] * FUNCTIONS[function].arity
        if function == "select":
            dtypes[0] = DType.BOOL
        yield map_call(call(function, *(Load(d, i) for i, d in enumerate(dtypes))), dtypes, 8)


@pytest.mark.parametrize(("function", "dtype"), CASES, ids=lambda v: v if isinstance(v, str) else v.value)
def test_function(function: str, dtype: DType) -> None:
    arity = FUNCTIONS[function].arity
    values = _values(dtype)
    if function in ("sin", "cos", "tan"):
        values = values[np.abs(values.astype(np.float64)) < 9e4]
    if function == "select":
        condition, a = (v.ravel() for v in np.meshgrid([False, True], values))
        run(
            call("select", Load(DType.BOOL, 0), Load(dtype, 1), Load(dtype, 2)),
            [condition, a, a[::-1].copy()],
        )
        return
    if function in ("shift_left", "shift_right"):
        # the reference leaves negative amounts open
        amounts = values[values.astype(np.int64) >= 0]
        grid = list(np.meshgrid(values, amounts))
    else:
        grid = list(np.meshgrid(*[values] * arity))
    operands = [np.ascontiguousarray(v.ravel()) for v in grid]
    tree = call(function, *(Load(dtype, i) for i in range(arity)))
    run(tree, _finite(tree, operands), ERRORS.get(function))


def _finite(tree: Scalar, operands: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """The operands that give finite results, where NaN and infinity are left to the driver."""
    if not isinstance(tree, Call) or tree.function not in PLAIN or not tree.args[0].dtype.is_float:
        return operands
    expected = evaluate(tree, operands)
    kept = np.isfinite(expected) & ((np.abs(expected) > 1e-37) | (expected == 0))
    return [a[kept] for a in operands]


SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 2.0, -3.0, 0.5, 100.0, -100.0], np.float32)


@pytest.mark.parametrize(
    "function", [f for f in FUNCTIONS if TABLE[f].f and f not in PLAIN and f != "select"]
)
def test_nan_and_infinity(function: str) -> None:
    arity = FUNCTIONS[function].arity
    grid = np.meshgrid(*[SPECIAL] * arity)
    operands = [np.ascontiguousarray(v.ravel()) for v in grid]
    run(call(function, *(Load(DType.F32, i) for i in range(arity))), operands, ERRORS.get(function))


@pytest.mark.parametrize("function", ["min", "max"])
@pytest.mark.parametrize("bound", [0.0, 6.0, np.inf, -np.inf, np.nan])
def test_bound_keeps_nan(function: str, bound: float) -> None:
    x = Load(DType.F32, 0)
    run(call(function, x, Const(DType.F32, bound)), [SPECIAL])
    run(call(function, Const(DType.F32, bound), x), [SPECIAL])


CASTS = [
    (a, b)
    for a in (*DTYPES, DType.I16, DType.U16)
    for b in (*DTYPES, DType.I16, DType.U16, DType.F16)
    if a is not b
]


@pytest.mark.parametrize(("source", "target"), CASTS, ids=lambda d: d.value)
def test_cast(source: DType, target: DType) -> None:
    values = _values(source)
    if source is DType.F32:
        edges = [
            2.0**32,
            2.0**40 + 2.0**18,
            9223371487098961920.0,
            2.0**63,
            2.0**64,
            -(2.0**63),
            -(2.0**32) - 512,
        ]
        more = np.array(
            [*SPECIAL, 127.5, 128.5, 255.9, 256.0, -128.9, 3e9, 2147483520.0, 65519.0, 65520.0, 1e-7, *edges]
        )
        values = np.concatenate([values, more]).astype(np.float32)
    run(cast(Load(source, 0), target), [values])


@pytest.mark.parametrize(
    "value", [0.1, -0.0, 1e-40, 3.4028234663852886e38, 1 / 3, 1e10, -7.0, 16777217.0, np.inf, -np.inf, np.nan]
)
def test_float_constant(value: float) -> None:
    # multiplied by a loaded one, so that nothing folds
    x = np.ones(4, np.float32)
    tree = call(
        "select",
        call("gt", Load(DType.F32, 0), Const(DType.F32, 0.5)),
        Const(DType.F32, value),
        Load(DType.F32, 0),
    )
    run(tree, [x], (0, 0))


@pytest.mark.parametrize("dtype", [DType.I64, DType.U64])
def test_64_bits_to_float_round_to_even(dtype: DType) -> None:
    """Values beside the middle of two float32, of all lengths."""
    values = [(m << e) + d for m in (0x1000001, 0x1FFFFFF, 0x1000003) for e in range(38) for d in (-1, 0, 1)]
    run(cast(Load(dtype, 0), DType.F32), [np.array(values, np.uint64).astype(dtype.value)], (0, 0))
    if dtype is DType.I64:
        run(cast(Load(dtype, 0), DType.F32), [-np.array(values, np.int64)], (0, 0))


@pytest.mark.parametrize("dtype", [DType.I64, DType.U64])
def test_random_64_bits(dtype: DType) -> None:
    rng = np.random.default_rng(5)
    limits = np.iinfo(dtype.value)
    a, b = (
        rng.integers(limits.min, limits.max, 3000, dtype.value, endpoint=True)
        >> rng.integers(0, 63, 3000).astype(dtype.value)
        for _ in range(2)
    )
    for function in ("add", "sub", "mul", "div", "mod", "rem", "min", "max", "lt", "ge"):
        run(call(function, Load(dtype, 0), Load(dtype, 1)), [a, b])


@pytest.mark.parametrize("value", [-(2**31), 2**31 - 1, -1, 0])
def test_integer_constant(value: int) -> None:
    run(call("bit_xor", Load(DType.I32, 0), Const(DType.I32, value)), [_values(DType.I32)])
