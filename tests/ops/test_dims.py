"""Dims: canonical and stored forms, symbolic arithmetic against integers; writes the shared vectors."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pyruntime.ir import dims
from pyruntime.ir.dims import Dim, symbol
from pyruntime.ir.rpn import from_rpn, to_rpn
from pyruntime.ir.symbols import evaluate, substitute

VECTORS = Path(__file__).parents[1] / "vectors" / "dims.json"

a, b, n = symbol("a"), symbol("b"), symbol("n")
half = dims.floordiv(n, 2)
VALUES = st.fixed_dictionaries({name: st.integers(1, 40) for name in ("a", "b", "n")})


def _combine(inner: st.SearchStrategy[Dim]) -> st.SearchStrategy[Dim]:
    def apply(function: Any) -> st.SearchStrategy[Dim]:
        return st.tuples(inner, inner).map(lambda pair: function(*pair))

    def divide(function: Any) -> st.SearchStrategy[Dim]:
        divisors = st.one_of(st.integers(-7, 9).filter(bool), st.sampled_from([a, b, n + 1, a * b]))
        return st.tuples(inner, divisors).map(lambda pair: function(*pair))

    return st.one_of(
        apply(lambda x, y: x + y),
        apply(lambda x, y: x - y),
        apply(lambda x, y: x * y),
        apply(dims.minimum),
        apply(dims.maximum),
        divide(dims.floordiv),
        divide(dims.mod),
    )


DIMS: st.SearchStrategy[Dim] = st.recursive(
    st.one_of(st.integers(-9, 12), st.sampled_from([a, b, n])), _combine, max_leaves=6
)
DIVISORS = st.one_of(st.integers(-9, 12).filter(bool), st.sampled_from([a, b, n, a * 3, n + 2]))


def value(dim: Dim, values: Mapping[str, int]) -> int:
    return evaluate(dim, values)


@pytest.mark.parametrize(
    ("dim", "same"),
    [
        (2 * b * 3, 6 * b),
        ((b * 6) // 3, b * 2),
        (a + b - a, b),
        ((a + b) * (a - b), a * a - b * b),
        ((n + 7) // 3, (n + 1) // 3 + 2),
        ((n * 6 + 4) // 3, n * 2 + 1),
        (((n - 1) // 2) // 2 + 1, (n - 1) // 4 + 1),
        ((2 * n + 1) // 4, n // 2),
        ((a * b + b) // b, a + 1),
        ((n + 8) % 4, n % 4),
        ((n % 4) // 4, 0),
        ((n % 4) % 7, n % 4),
        (n % n, 0),
        (dims.minimum(a, b), dims.minimum(b, a)),
        (dims.maximum(n // 2, 0), n // 2),
        (dims.maximum(n, 1), n),
        (dims.minimum(dims.minimum(n, 3), 5), dims.minimum(n, 3)),
        (dims.minimum((n + 1) // 2, (n + 3) // 4 * 2), (n + 1) // 2),  # halved once more, doubled, and cut
        (dims.maximum(dims.align(n, 16), n), dims.align(n, 16)),
        (dims.maximum(n, dims.minimum(n, 7)), n),
        (dims.ceildiv(n * 8, 8), n),
        (dims.align(n * 16, 8), n * 16),
    ],
)
def test_equal_dims_have_one_form(dim: Dim, same: Dim) -> None:
    assert dim == same
    assert hash(dim) == hash(same)


@pytest.mark.parametrize("name", ["batch size", "0", "", "min", "größe", "a.b"])
def test_symbols_have_storable_names(name: str) -> None:
    dim = symbol(name)
    assert from_rpn(to_rpn(dim)) == dim


@pytest.mark.parametrize("rpn", [[], ["+"], [1, 2], [1, "+"], ["a b"], [True], [1.5], ["a", "//"], "é"])
def test_damaged_stored_forms_are_refused(rpn: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_rpn(rpn)


def test_sums_that_are_whole_multiples_leave_the_floor() -> None:
    """As in Reshape, where what is left is the elements by the other sizes."""
    m, t = dims.symbol("m"), dims.floordiv(n + 75, 80) - 1
    assert dims.floordiv(t * m * 32, t * m * 8) == 4
    assert dims.floordiv(m * n * 6 - m * 6, n * 2 - 2) == m * 3
    assert dims.floordiv(n * n - m * m, n - m) == n + m
    assert dims.mod(t * t * m, t) == 0
    assert dims.divides(n + m, (n + m) * (n - 1))
    for dividend, divisor in ((n * n + 1, n + 1), (n * 3 + 3, n * 2 + 2), (n + m, n + 1)):
        assert not dims.divides(divisor, dividend)


def test_zero_divisors_are_refused() -> None:
    for divide in (dims.floordiv, dims.mod):
        with pytest.raises(ZeroDivisionError):
            divide(n, 0)


def test_evaluation_is_checked() -> None:
    with pytest.raises(KeyError):
        evaluate(n + 1, {})
    with pytest.raises(OverflowError):
        evaluate(n * n, {"n": 2**32})


@given(DIMS, DIMS, VALUES)
def test_arithmetic_agrees_with_integers(x: Dim, y: Dim, values: dict[str, int]) -> None:
    p, q = value(x, values), value(y, values)
    assert value(x + y, values) == p + q
    assert value(x - y, values) == p - q
    assert value(x * y, values) == p * q
    assert value(dims.minimum(x, y), values) == min(p, q)
    assert value(dims.maximum(x, y), values) == max(p, q)
    assert (x == y) <= (p == q)
    assert dims.at_least(x, y) <= (p >= q)


@given(DIMS, DIVISORS, VALUES)
def test_division_agrees_with_integers(x: Dim, y: Dim, values: dict[str, int]) -> None:
    p, q = value(x, values), value(y, values)
    assert value(dims.floordiv(x, y), values) == p // q
    assert value(dims.mod(x, y), values) == p % q
    assert value(dims.ceildiv(x, y), values) == -(-p // q)
    assert dims.divides(y, x) <= (p % q == 0)


@given(DIMS, VALUES)
def test_bounds_hold(x: Dim, values: dict[str, int]) -> None:
    low, high = dims.bounds(x)
    found = value(x, values)
    assert low is None or low <= found
    assert high is None or found <= high


@given(DIMS, DIMS, VALUES)
def test_what_is_certain_holds(x: Dim, y: Dim, values: dict[str, int]) -> None:
    assert dims.at_least(x, y) <= (value(x, values) >= value(y, values))


@given(DIMS)
def test_stored_forms_come_back(x: Dim) -> None:
    rpn = to_rpn(x)
    assert from_rpn(json.loads(json.dumps(rpn))) == x


@given(DIMS, DIMS, VALUES)
def test_substitution_agrees_with_evaluation(x: Dim, y: Dim, values: dict[str, int]) -> None:
    inner = value(y, values)
    assume(inner > 0)
    replaced = substitute(x, {"a": y})
    assert value(replaced, values) == value(x, {**values, "a": inner})


def vectors() -> list[dict[str, Any]]:
    """Stored forms with symbols and values: what every evaluator in every language must give."""
    written: list[Dim] = [
        0,
        -7,
        2**40,
        n,
        n * 2 + 1,
        n - 5,
        a * b * n,
        (n - 3) // 2,
        (3 - n) // 2,
        (n + 1) % 4,
        (3 - n) % 4,
        dims.ceildiv(n, 8) * 8,
        dims.align(a * b * 3, 256),
        dims.maximum(n - 3, 0),
        dims.minimum(a, b),
        (a * b + 7) // (n + 1),
        (a - b * 5) // n,
        (a - b * 5) % n,
        dims.maximum(dims.minimum(a, n) * b, half + a % 3),
        n * 4294967296 + 1,
    ]
    stored: list[Any] = [
        *(to_rpn(d) for d in written),
        # forms that a writer may choose though canonical dims do not have them
        *[[p, q, op] for op in ("//", "%") for p in (-7, 7) for q in (-2, 2)],
        *[[-(2**40) - 1, q, op] for op in ("//", "%") for q in (3, -3)],
        [7, 9, "-"],
        [-3, 2, "min"],
        [-3, 2, "max"],
        ["n", 2, "*", "a", "-", 3, "//"],
    ]
    settings = [{"a": 1, "b": 1, "n": 1}, {"a": 3, "b": 5, "n": 7}, {"a": 64, "b": 2, "n": 1000}]
    return [
        {"rpn": rpn, "symbols": values, "value": value(from_rpn(rpn), values)}
        for rpn in stored
        for values in (settings if any(isinstance(t, str) and t in "abn" for t in _tokens(rpn)) else [{}])
    ]


def _tokens(rpn: Any) -> list[Any]:
    return rpn if isinstance(rpn, list) else [rpn]


def text() -> str:
    """The vectors' file."""
    return "[\n" + ",\n".join(json.dumps(v) for v in vectors()) + "\n]\n"


def test_vectors_are_current() -> None:
    """To write them anew: python -m tests.ops.test_dims."""
    assert VECTORS.read_text() == text()


if __name__ == "__main__":
    VECTORS.write_text(text())
