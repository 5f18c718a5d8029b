"""Accuracy of the elementary functions of vmath.h and f64.h, in both variants, over all magnitudes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pyruntime_wasm.printer import VECTOR, Printer

from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Map
from pyruntime.ir.scalar import Load, Scalar, call
from pyruntime.ir.views import Tensor, View
from pyruntime.ops.trees import mul, sigmoid
from tests.kernels import wasm_harness
from tests.kernels.case import Case

pytestmark = pytest.mark.wasm

Array = NDArray[Any]
COUNT = 60_000
# where exp, sigmoid, tanh (relaxed, simd) and erf (relaxed, simd) are off most, of all floats:
# by 1.0086, 2.402, 5.25, 6.08, 5.48 and 7.63 ulp
WORST = (
    float.fromhex("-0x1.b610f0p+4"),
    float.fromhex("-0x1.0a111ap+2"),
    float.fromhex("0x1.0eba34p+2"),
    float.fromhex("0x1.7a5b78p+2"),
    float.fromhex("0x1.db5dbap+1"),
    float.fromhex("0x1.c6716cp+1"),
)
STRIDE = 4099  # of the bits of floats; a prime, so that all mantissas have their turn


def expit(x: Array) -> Array:
    """1 / (1 + exp(-x)), accurate on both sides."""
    e = np.exp(-np.abs(x))
    made: Array = np.where(x < 0, e, 1) / (1 + e)
    return made


# function -> NumPy's, and the bound in units in the last place that vmath.h states
EVERYWHERE: dict[str, tuple[Callable[[Array], Array], float]] = {
    "exp": (np.exp, 1.01),
    "tanh": (np.tanh, 6.1),
    "erf": (np.vectorize(math.erf, otypes=[np.float64]), 7.7),
    "sigmoid": (expit, 2.5),
}
UNARY: dict[str, tuple[Callable[[Array], Array], float]] = {
    **EVERYWHERE,
    "log": (np.log, 1),
    "sin": (np.sin, 2),
    "cos": (np.cos, 2),
    "tan": (np.tan, 3),
    "asin": (np.arcsin, 3),
    "acos": (np.arccos, 2),
    "atan": (np.arctan, 2),
    "sinh": (np.sinh, 2),
    "cosh": (np.cosh, 2),
    "asinh": (np.arcsinh, 2),
    "acosh": (np.arccosh, 2),
    "atanh": (np.arctanh, 2),
    "sqrt": (np.sqrt, 0),
    "floor": (np.floor, 0),
    "ceil": (np.ceil, 0),
    "round": (np.rint, 0),
    "trunc": (np.trunc, 0),
    "sign": (np.sign, 0),
}
BINARY: dict[str, tuple[Callable[[Array, Array], Array], float]] = {
    "pow": (np.power, 1),
    "atan2": (np.arctan2, 2),
    "rem": (np.fmod, 0),
    "min": (np.minimum, 0),
    "max": (np.maximum, 0),
}
FUNCTIONS: dict[str, tuple[Callable[..., Array], float]] = {**UNARY, **BINARY}
SPECIAL = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    2.0,
    -2.0,
    3.0,
    -3.0,
    math.inf,
    -math.inf,
    math.nan,
    1e-45,
    -1e-45,
)
# what f64.h promises, relative to the magnitude
DOUBLE = {"pow": 1e-13}


def samples(dtype: DType, seed: int) -> Array:
    """Special values, all exponents, and ranges in which the functions are interesting."""
    random = np.random.default_rng(seed)
    kind = np.dtype(dtype.value)
    integer = np.dtype(f"uint{dtype.bits}")
    bits = random.integers(0, 2**dtype.bits, COUNT // 4, dtype=integer).view(kind)
    uniform = [random.uniform(-scale, scale, COUNT // 8) for scale in (1.0, 1.5, 5.0, 20.0, 90.0, 1e4)]
    grid = [v for v in SPECIAL for _ in SPECIAL] if seed == 0 else list(SPECIAL) * len(SPECIAL)
    return np.concatenate([np.asarray(part, kind) for part in (grid, *uniform, bits)])


def _case(name: str, dtype: DType, operands: list[Array]) -> Case:
    count = operands[0].size
    tensors = [Tensor(f"x{i}", dtype, count, "input") for i in range(len(operands))]
    loads = [Load(dtype, i) for i in range(len(operands))]
    body = sigmoid(*loads) if name == "sigmoid" else call(name, *loads)
    return _elementwise(f"{name} {dtype!r}", body, dict(zip(tensors, operands, strict=True)))


def _elementwise(name: str, body: Scalar, operands: dict[Tensor, Array]) -> Case:
    count = next(iter(operands.values())).size
    made = Map(
        name=name,
        sizes=(count,),
        body=body,
        inputs=tuple(View(t, 0, (1,)) for t in operands),
        output=View(Tensor("y", body.dtype, count), 0, (1,)),
    )
    return Case(name, made, operands)


def _operands(name: str, dtype: DType) -> list[Array]:
    operands = [samples(dtype, seed) for seed in range(2 if name in BINARY else 1)]
    with np.errstate(all="ignore"):
        if name == "rem":
            operands[1] = np.where(np.abs(operands[0]) < 1e6 * np.abs(operands[1]), operands[1], 3).astype(
                dtype.value
            )
        if dtype is DType.F64 and name in ("sin", "cos", "tan"):
            operands[0] = np.where(np.abs(operands[0]) < 1e4, operands[0], 1)
        if dtype is DType.F64 and name == "pow":
            operands[1] = np.clip(operands[1], -8, 8)
    return operands


@pytest.fixture(scope="module")
def suite() -> wasm_harness.Suite:
    cases = [_case(n, d, _operands(n, d)) for d in (DType.F32, DType.F64) for n in (*UNARY, *BINARY)]
    return wasm_harness.build(cases)


def _run(suite: wasm_harness.Suite, name: str, dtype: DType, variant: str) -> tuple[Array, list[Array]]:
    case = next(c for c in suite.cases if c.name == f"{name} {dtype!r}")
    with np.errstate(all="ignore"):
        actual, _ = suite.run(case, variant)
    return actual, list(case.inputs.values())


def _check(name: str, actual: Array, operands: list[Array]) -> None:
    """NaN where it should be, the bound kept, and the signs of zeros."""
    function, bound = FUNCTIONS[name]
    with np.errstate(all="ignore"):
        exact = np.asarray(function(*(o.astype(np.float64) for o in operands)))
        rounded = exact.astype(np.float32)
        np.testing.assert_array_equal(np.isnan(actual), np.isnan(rounded))
        unit = np.spacing(np.abs(rounded)).astype(np.float64)
        off = np.abs(actual.astype(np.float64) - exact) / unit
        off = np.where((actual == rounded) | np.isnan(rounded), 0, off)
        zero = (rounded == 0) & (actual == 0) & (exact == 0)
    worst = int(np.argmax(off))
    assert off[worst] <= bound, (
        f"{off[worst]:.2f} ulp at {[o[worst] for o in operands]}: {actual[worst]}, not {rounded[worst]}"
    )
    if name not in ("min", "max"):  # NumPy takes either zero
        np.testing.assert_array_equal(np.signbit(actual[zero]), np.signbit(rounded[zero]))


@pytest.mark.parametrize("variant", wasm_harness.VARIANTS)
@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_single(suite: wasm_harness.Suite, name: str, variant: str) -> None:
    _check(name, *_run(suite, name, DType.F32, variant))


def _floats() -> Array:
    """Every STRIDEth float: all exponents of both signs, subnormals and NaN."""
    floats = np.arange(0, 2**32, STRIDE, dtype=np.uint32).view(np.float32)
    return np.append(floats, np.array([math.inf, -math.inf, *WORST], np.float32))


@pytest.fixture(scope="module")
def dense() -> wasm_harness.Suite:
    return wasm_harness.build([_case(name, DType.F32, [_floats()]) for name in EVERYWHERE])


@pytest.mark.parametrize("variant", wasm_harness.VARIANTS)
@pytest.mark.parametrize("name", EVERYWHERE)
def test_all_magnitudes(dense: wasm_harness.Suite, name: str, variant: str) -> None:
    actual, operands = _run(dense, name, DType.F32, variant)
    _check(name, actual, operands)
    low, high = {"exp": (0, math.inf), "sigmoid": (0, 1)}.get(name, (-1, 1))
    np.testing.assert_array_equal(actual[operands[0] < -200], low)
    np.testing.assert_array_equal(actual[operands[0] > 200], high)


@pytest.mark.parametrize("variant", wasm_harness.VARIANTS)
def test_silu(variant: str) -> None:
    """x * sigmoid(x), however it is written, is one function, with the bound that vmath.h states."""
    x = Load(DType.F32, 0)
    floats = _floats()
    first, second = (mul(x, sigmoid(x)), mul(sigmoid(x), x))
    cases = [
        _elementwise(f"silu {i}", body, {Tensor("x", DType.F32, floats.size, "input"): floats})
        for i, body in enumerate((first, second))
    ]
    suite = wasm_harness.build(cases, [variant])
    with np.errstate(all="ignore"):
        actual = [suite.run(case, variant)[0] for case in cases]
        exact = floats.astype(np.float64) * expit(floats.astype(np.float64))
        unit = np.spacing(np.abs(exact.astype(np.float32))).astype(np.float64)
        off = np.abs(actual[0] - exact)
    np.testing.assert_array_equal(actual[0], actual[1])
    np.testing.assert_array_equal(np.isnan(actual[0]), np.isnan(exact))
    finite = np.isfinite(floats)
    usual, low = finite & (floats >= -87), finite & (floats < -87)
    assert (off[usual] / unit[usual]).max() <= 4
    assert off[low].max() <= 4e-37
    assert actual[0][floats == math.inf] == math.inf


def test_only_a_gate_by_itself_is_silu() -> None:
    x, y = Load(DType.F32, 0), Load(DType.F32, 1)

    def printed(tree: Scalar) -> str:
        printer = Printer(VECTOR, lambda leaf: "xy"[leaf.operand] if isinstance(leaf, Load) else "?")
        printer.value(tree)
        return " ".join(printer.statements)

    assert "f32x4_silu(t0)" in printed(mul(x, sigmoid(x)))
    assert "silu" not in printed(mul(y, sigmoid(x)))
    assert "silu" not in printed(mul(x, call("div", call("select", call("lt", x, y), x, y), y)))


@pytest.mark.parametrize("variant", wasm_harness.VARIANTS)
@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_double(suite: wasm_harness.Suite, name: str, variant: str) -> None:
    actual, operands = _run(suite, name, DType.F64, variant)
    function, _ = FUNCTIONS[name]
    with np.errstate(all="ignore"):
        exact = np.asarray(function(*operands))
        np.testing.assert_array_equal(np.isnan(actual), np.isnan(exact))
        scale = np.maximum(np.abs(exact), 1e-300)
        off = np.where((actual == exact) | np.isnan(exact), 0, np.abs(actual - exact) / scale)
    worst = int(np.argmax(off))
    assert off[worst] <= DOUBLE.get(name, 1e-14), (
        f"{off[worst]} at {[o[worst] for o in operands]}: {actual[worst]}"
    )
