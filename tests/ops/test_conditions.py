"""Conditions over dims against integers, and what follows from one that is known to hold."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pyruntime.ir import conditions, dims
from pyruntime.ir.dims import Dim, bounds, symbol
from tests.ops.test_dims import DIMS, VALUES, value

n, m = symbol("n"), symbol("m")
flag = symbol("flag", (0, 1))
shift = symbol("shift", (-8, 8))
SIGNED = st.fixed_dictionaries({"flag": st.integers(0, 1), "shift": st.integers(-8, 8)})


@given(DIMS, DIMS, VALUES)
def test_conditions_agree_with_integers(x: Dim, y: Dim, values: dict[str, int]) -> None:
    p, q = value(x, values), value(y, values)
    assert value(conditions.equal(x, y), values) == (p == q)
    assert value(conditions.less(x, y), values) == (p < q)
    assert value(conditions.truth(x), values) == (p != 0)
    condition = conditions.less(x, y)
    assert value(conditions.choose(condition, x, y), values) == min(p, q)
    assert bounds(condition) in {(0, 0), (1, 1), (0, 1)}
    assert conditions.truth(condition) == condition


@given(DIMS, VALUES)
def test_what_is_pinned_is_so(x: Dim, values: dict[str, int]) -> None:
    """For the value that x has, every atom that must then have a value does have it."""
    known = conditions.pins(x, value(x, values))
    assert known is not None
    for atom, found in known.items():
        assert value(dims.of_atom(atom), values) == found
    assert value(conditions.assume(x, known), values) == value(x, values)


@given(DIMS, VALUES, VALUES)
def test_what_is_assumed_changes_nothing_else(x: Dim, values: dict[str, int], other: dict[str, int]) -> None:
    known = conditions.pins(conditions.equal(x, value(x, other)), 1)
    assume(known is not None and value(x, values) == value(x, other))
    assert known is not None
    assert value(conditions.assume(x, known), values) == value(x, values)


@pytest.mark.parametrize(
    ("condition", "holds", "dim", "expected"),
    [
        (conditions.equal(n, 3), 1, n * m, m * 3),
        (conditions.equal(n * 2 - 1, 5), 1, n, 3),
        (conditions.equal((n + 64) // 128 - 1, 1), 1, (n + 64) // 128 + m, m + 2),
        (1 - conditions.equal(n // 4, 0), 0, n // 4, 0),
        (conditions.truth(flag), 1, flag * n, n),
        (conditions.truth(1 - flag), 1, flag * n, 0),
        (conditions.equal(shift, -2), 1, n + shift, n - 2),
        (dims.minimum(n, 9), 4, n, 4),
        (dims.maximum(n, 2), 4, n, 4),
    ],
)
def test_equations_are_solved(condition: Dim, holds: int, dim: Dim, expected: Dim) -> None:
    known = conditions.pins(condition, holds)
    assert known is not None
    assert conditions.assume(dim, known) == expected
    assert conditions.assume(condition, known) == holds


def test_what_cannot_be() -> None:
    assert conditions.pins(n * 2, 5) is None
    assert conditions.pins(n, 0) is None
    assert conditions.pins(conditions.equal(n * 2, 7), 1) is None
    assert conditions.pins(flag, 2) is None
    assert conditions.pins(n * m, 6) == {}


@given(st.sampled_from([shift * 3 + flag, shift * flag, dims.maximum(shift, flag), shift // 3]), SIGNED)
def test_bounds_of_symbols_that_may_be_negative(dim: Dim, values: dict[str, int]) -> None:
    low, high = bounds(dim)
    assert low is None or low <= value(dim, values)
    assert high is None or value(dim, values) <= high
    assert not dims.at_least(shift, 0)
    assert conditions.signed(dim)
    assert not conditions.signed(n * m - 3)
