"""Upper bounds of dims over counters, against every value that the counters take."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from pyruntime.ir.dims import Dim, floordiv, maximum, minimum, mod, symbol
from pyruntime.ir.ranges import largest
from pyruntime.ir.symbols import evaluate, symbols_of

n = symbol("n")
i, j = symbol("i", (0, 99)), symbol("j", (0, 99))
RANGES = {"i": (0, maximum(n - 1, 0)), "j": (0, i)}

LEAVES: st.SearchStrategy[Dim] = st.one_of(st.integers(-3, 9), st.sampled_from([n, i, j]))


def _combine(inner: st.SearchStrategy[Dim]) -> st.SearchStrategy[Dim]:
    pairs = st.tuples(inner, inner)
    return st.one_of(
        pairs.map(lambda p: p[0] + p[1]),
        pairs.map(lambda p: p[0] - p[1]),
        pairs.map(lambda p: p[0] * p[1]),
        pairs.map(lambda p: minimum(*p)),
        pairs.map(lambda p: maximum(*p)),
        st.tuples(inner, st.integers(1, 5)).map(lambda p: floordiv(*p)),
        st.tuples(inner, st.integers(1, 5)).map(lambda p: mod(*p)),
        pairs.map(lambda p: floordiv(p[0], maximum(p[1], 1))),
        pairs.map(lambda p: mod(p[0], maximum(p[1], 1))),
    )


@given(st.recursive(LEAVES, _combine, max_leaves=6), st.integers(1, 5))
def test_no_value_is_larger(dim: Dim, size: int) -> None:
    bound = largest(dim, RANGES)
    if bound is None:
        return
    assert symbols_of(bound) <= {"n"}
    most = evaluate(bound, {"n": size})
    for a, b in itertools.product(range(size), repeat=2):
        if b <= a:
            assert evaluate(dim, {"n": size, "i": a, "j": b}) <= most


def test_what_sizes_in_loops_look_like() -> None:
    assert largest(i * 3, RANGES) == maximum(n - 1, 0) * 3
    assert largest(n - i, RANGES) == n
    assert largest((i + 1) * n, {"i": (0, 4)}) == n * 5
    assert largest(j * 2 + 1, {"i": (0, 4), "j": (0, i)}) == 9
    assert largest(n * n, RANGES) == n * n
    assert largest(floordiv(n, i + 1), RANGES) == n
    assert largest(floordiv(n - 9, i + 1), RANGES) is None
    assert largest(mod(n, i + 1), RANGES) == maximum(n - 1, 0)


def test_symbols_that_are_never_zero() -> None:
    k = symbol("k", (1, 9))
    assert largest(floordiv(12, k), {"k": (0, 9)}) == 12
