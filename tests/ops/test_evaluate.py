"""Scalar functions on arrays against Python's own arithmetic, element by element; casts; trees of dims."""

import math
import operator
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from pyruntime.ir import dtypes
from pyruntime.ir.dims import ceildiv, floordiv, maximum, symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.scalar import FUNCTIONS, Acc, Const, Index, Load, Scalar, Size, call, cast
from pyruntime.ir.symbols import evaluate as value_of
from pyruntime.ops.evaluate import convert, evaluate

F16, F32, F64, I8, I32, I64, U8, U32, U64, BOOL = (
    *(DType.F16, DType.F32, DType.F64, DType.I8, DType.I32, DType.I64),
    *(DType.U8, DType.U32, DType.U64, DType.BOOL),
)


def _truncated(x: int, y: int) -> int:
    return abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)


def _propagate(choose: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, y: math.nan if math.isnan(x) or math.isnan(y) else choose(x, y)


def _power(x: int, y: int) -> int:
    return int(x**y) if y >= 0 else {1: 1, -1: -1 if y % 2 else 1}.get(x, 0)


FLOAT: Mapping[str, Callable[..., Any]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "min": _propagate(min),
    "max": _propagate(max),
    "mod": lambda x, y: x % y,
    "rem": math.fmod,
    "pow": lambda x, y: abs(x) ** y,
    "atan2": math.atan2,
    "neg": lambda x: -x,
    "abs": abs,
    "sign": lambda x: (x > 0) - (x < 0),
    "floor": math.floor,
    "ceil": math.ceil,
    "round": round,
    "trunc": math.trunc,
    "is_nan": math.isnan,
    "is_inf": math.isinf,
    "eq": lambda x, y: x == y,
    "ne": lambda x, y: x != y,
    "lt": lambda x, y: x < y,
    "le": lambda x, y: x <= y,
    "gt": lambda x, y: x > y,
    "ge": lambda x, y: x >= y,
    **{n: getattr(math, n) for n in ("exp", "erf", "tanh", "sin", "cos", "tan", "atan", "sinh", "cosh")},
    **{n: getattr(math, n) for n in ("asinh", "asin", "acos", "atanh", "sqrt", "log", "acosh")},
}
INTEGER: Mapping[str, Callable[..., Any]] = {
    **{n: FLOAT[n] for n in ("add", "sub", "mul", "neg", "abs", "sign", "eq", "ne", "lt", "le", "gt", "ge")},
    "min": min,
    "max": max,
    "div": _truncated,
    "rem": lambda x, y: x - _truncated(x, y) * y,
    "mod": lambda x, y: x % y,
    "ipow": _power,
    "bit_and": lambda x, y: x & y,
    "bit_or": lambda x, y: x | y,
    "bit_xor": lambda x, y: x ^ y,
    "bit_not": lambda x: ~x,
    "shift_left": lambda x, y: x << (y % 8),
    "shift_right": lambda x, y: x >> (y % 8),
}
TRUTH: Mapping[str, Callable[..., Any]] = {
    "and": lambda x, y: x and y,
    "or": lambda x, y: x or y,
    "xor": lambda x, y: x != y,
    "not": lambda x: not x,
    "eq": lambda x, y: x == y,
    "max": max,
    "min": min,
}

PLAIN = np.array([-2.5, -1.5, -1.0, -0.7, -0.5, 0.25, 0.5, 0.9, 1.5, 2.5, 3.75])
DOMAINS = {
    **{n: PLAIN[np.abs(PLAIN) < 1] for n in ("asin", "acos", "atanh")},
    **dict.fromkeys(("sqrt", "log", "pow"), PLAIN[PLAIN > 0]),
    "acosh": PLAIN[PLAIN > 1],
}


def loads(dtype: DType, count: int) -> list[Scalar]:
    return [Load(dtype, i) for i in range(count)]


def check(function: str, dtype: DType, first: np.ndarray, expected: Callable[..., Any]) -> None:
    """function over all pairs (or elements) of first, against expected on Python numbers."""
    arity = FUNCTIONS[function].arity
    arrays = [a.ravel() for a in np.meshgrid(*[first.astype(dtype.value)] * arity)]
    if function in ("div", "rem", "mod"):
        arrays = [a[arrays[1] != 0] for a in arrays]
    if function.startswith("shift"):
        arrays[1] = arrays[1] % 8
    found = evaluate(call(function, *loads(dtype, arity)), arrays)
    result = BOOL if FUNCTIONS[function].result == "bool" else dtype
    assert found.dtype == np.dtype(result.value)
    wanted = [expected(*values) for values in zip(*(a.tolist() for a in arrays), strict=True)]
    if dtype.is_float and result.is_float:
        tolerance = {F16: 1e-3, F32: 2e-6, F64: 1e-14}[dtype]
        np.testing.assert_allclose(found, np.array(wanted, np.float64), rtol=tolerance, atol=tolerance)
    else:
        wrapped = np.array([w % 2**64 for w in wanted], np.uint64) if result.is_integer else wanted
        np.testing.assert_array_equal(found, np.array(wrapped).astype(result.value))


@pytest.mark.parametrize("dtype", [F16, F32, F64], ids=repr)
@pytest.mark.parametrize("function", FLOAT)
def test_functions_of_floats(function: str, dtype: DType) -> None:
    check(function, dtype, DOMAINS.get(function, PLAIN), FLOAT[function])


@pytest.mark.parametrize(
    ("function", "dtype"),
    [
        (function, dtype)
        for function in INTEGER
        for dtype in (I8, I32, I64, U8, U32, U64)
        if ("u" if dtype.is_unsigned else "i") in FUNCTIONS[function].domain
    ],
)
def test_functions_of_integers(function: str, dtype: DType) -> None:
    values = [0, 1, 2, 3, 7, 100] if dtype.is_unsigned else [-100, -7, -3, -2, -1, 0, 1, 2, 3, 7, 100]
    if function == "ipow":
        values = [-3, -2, -1, 0, 1, 2, 3, 4]
    check(function, dtype, np.array(values), INTEGER[function])


@pytest.mark.parametrize("function", TRUTH)
def test_functions_of_bools(function: str) -> None:
    check(function, BOOL, np.array([False, True]), TRUTH[function])


def test_every_function_is_tested() -> None:
    assert {*FLOAT, *INTEGER, *TRUTH, "select"} == set(FUNCTIONS)
    for row in FUNCTIONS.values():
        for letter, table in (("f", FLOAT), ("i", INTEGER)):
            assert row.name in table or letter not in row.domain or row.name == "select"


@pytest.mark.parametrize("dtype", dtypes.PLAIN, ids=repr)
def test_select_keeps_the_dtype(dtype: DType) -> None:
    tree = call("select", Load(BOOL, 0), Load(dtype, 1), Const(dtype, 1))
    found = evaluate(tree, [np.array([True, False, True]), np.zeros(3, dtype.value)])
    assert found.dtype.name == dtype.value
    assert found.tolist() == [0, 1, 0]


def test_minimum_and_maximum_propagate_nan() -> None:
    values = np.array([np.nan, 1, np.inf], np.float32)
    for function in ("min", "max"):
        found = evaluate(call(function, *loads(F32, 2)), [values[:, None], values])
        assert np.isnan(found).tolist() == [[True] * 3, [True, False, False], [True, False, False]]


def test_single_precision_is_kept() -> None:
    third = evaluate(call("div", Const(F32, 1.0), Load(F32, 0)), [np.array([3], np.float32)])
    assert third.dtype == np.float32
    assert third[0] == np.float32(1) / np.float32(3)


def test_casts_to_integers_truncate_and_saturate() -> None:
    values = np.array([-np.inf, -1e30, -300.5, -1.9, -0.5, 0.5, 1.9, 300.5, 1e30, np.inf, np.nan], np.float32)
    for dtype in (I8, I32, I64, U8, U32, U64):
        limits = np.iinfo(dtype.value)
        wanted = [max(limits.min, min(limits.max, int(v))) for v in values[1:-2].tolist()]
        found = evaluate(cast(Load(F32, 0), dtype), [values])
        assert found.dtype.name == dtype.value
        assert found.tolist() == [limits.min, *wanted, limits.max, 0]


def test_casts_of_limits_are_exact() -> None:
    edge = np.array([2.0**63, -(2.0**63), 2.0**64, 2.0**31, 2.0**31 - 1])
    assert convert(edge, I64).tolist() == [2**63 - 1, -(2**63), 2**63 - 1, 2**31, 2**31 - 1]
    assert convert(edge, U64).tolist() == [2**63, 0, 2**64 - 1, 2**31, 2**31 - 1]
    assert convert(edge, I32).tolist() == [2**31 - 1, -(2**31), 2**31 - 1, 2**31 - 1, 2**31 - 1]


def test_casts_between_integers_wrap() -> None:
    values = np.array([-129, -1, 0, 127, 128, 256, 65537], np.int32)
    assert convert(values, I8).tolist() == [127, -1, 0, 127, -128, 0, 1]
    assert convert(values, U8).tolist() == [127, 255, 0, 127, 128, 0, 1]


def test_casts_to_bool_compare_with_zero() -> None:
    assert convert(np.array([0.0, -0.0, 0.5, np.nan]), BOOL).tolist() == [False, False, True, True]
    assert convert(np.array([0, 256, -1]), BOOL).tolist() == [False, True, True]


def test_other_leaves() -> None:
    tree = call("add", cast(Index(I32, 1), F32), call("mul", Acc(F32, 0), cast(Size(I32, 0), F32)))
    found = evaluate(tree, [], index=[np.arange(2)[:, None], np.arange(3)], acc=[np.ones((2, 1))], sizes=[10])
    assert found.tolist() == [[10, 11, 12]] * 2


def test_shared_subtrees_are_evaluated_once() -> None:
    tree: Scalar = Load(F32, 0)
    for _ in range(200):
        tree = call("add", call("mul", tree, Const(F32, 0.5)), call("mul", tree, Const(F32, 0.5)))
    assert evaluate(tree, [np.ones(2, np.float32)]).tolist() == [1, 1]


def dims(*elements: Any) -> np.ndarray:
    array = np.empty(len(elements), object)
    array[:] = elements
    return array


def test_arithmetic_of_dims() -> None:
    n = symbol("n")
    a, b = loads(I64, 2)
    pairs = [dims(n, n * 6, 12, n), dims(2, 3, 5, n)]
    assert evaluate(call("add", a, b), pairs).tolist() == [n + 2, n * 6 + 3, 17, n * 2]
    assert evaluate(call("mul", a, b), pairs).tolist() == [n * 2, n * 18, 60, n * n]
    assert evaluate(call("div", a, b), pairs).tolist() == [floordiv(n, 2), n * 2, 2, 1]
    assert evaluate(call("mod", a, b), pairs).tolist() == [n % 2, 0, 2, 0]
    assert evaluate(call("neg", a), pairs).tolist() == [-n, n * -6, -12, -n]
    assert evaluate(cast(call("sub", a, b), I32), pairs).tolist() == [n - 2, n * 6 - 3, 7, 0]
    assert evaluate(call("max", a, Const(I64, 1)), pairs).tolist() == [n, n * 6, 12, n]


def test_quotients_of_dims_truncate() -> None:
    n = symbol("n")
    tree = call("div", *loads(I64, 2))
    for dividend, divisor in ((n - 5, 2), (n - 5, -2), (-n, 3)):
        (found,) = evaluate(tree, [dims(dividend), dims(divisor)])
        for size in range(1, 12):
            values = {"n": size}
            assert value_of(found, values) == _truncated(value_of(dividend, values), divisor)
    assert evaluate(tree, [dims(n + 1), dims(2)]).tolist() == [ceildiv(n, 2)]
    with pytest.raises(TypeError, match="sign"):
        evaluate(tree, [dims(n), dims(n - 3)])


_HOLDS: Mapping[str, Callable[[int, int], int]] = {
    **{name: getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge", "xor")},
    "and": min,
    "or": max,
}


def test_comparisons_of_dims() -> None:
    n = symbol("n")
    pairs = [dims(n, n, n + 1), dims(-1, n, n)]
    a, b = loads(I64, 2)
    assert evaluate(call("eq", a, b), pairs).tolist() == [False, True, False]
    assert evaluate(call("lt", a, b), pairs).tolist() == [False, False, False]
    assert evaluate(call("ge", a, b), pairs).tolist() == [True, True, True]
    chosen = evaluate(call("select", call("eq", a, b), b, Const(I64, 7)), pairs)
    assert chosen.tolist() == [7, n, 7]
    for function, holds in _HOLDS.items():
        truths = ("and", "or", "xor")
        tree = (
            call(function, *(cast(x, BOOL) for x in (a, b))) if function in truths else call(function, a, b)
        )
        (found,) = evaluate(cast(tree, I64), [dims(n - 3), dims(n * 2 - 7)])
        for size in range(1, 9):
            pair = [size - 3, size * 2 - 7]
            pair = [int(p != 0) for p in pair] if function in truths else pair
            assert value_of(found, {"n": size}) == holds(*pair), (function, size)
    chosen = evaluate(call("select", call("lt", a, b), a, b), [dims(n), dims(5)])
    assert [value_of(chosen.item(), {"n": size}) for size in (4, 5, 6)] == [4, 5, 5]
    floats = call("select", call("lt", a, b), Const(F32, 0.5), Const(F32, 1.5))
    with pytest.raises(TypeError, match="no dims"):
        evaluate(floats, [dims(n), dims(5)])
    with pytest.raises(TypeError, match="not a dim"):
        evaluate(call("bit_and", a, b), pairs)
    with pytest.raises(TypeError, match="cannot become"):
        evaluate(cast(a, F32), pairs)
    assert evaluate(call("abs", a), [dims(n - 2)]).tolist() == [maximum(n - 2, 2 - n)]


def test_the_definition_module_needs_no_numpy() -> None:
    code = "import sys, pyruntime.ops.definition; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
