"""Expressions of packs: what is well formed, and that values are those of ir.dims."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyruntime.ir import dims
from pyruntime.ir.rpn import to_rpn
from pyruntime.ir.symbols import evaluate, symbols_of
from pyruntime.pack.expressions import Evaluator, ExpressionError, check, infix, symbols

VECTORS = Path(__file__).parents[1] / "vectors" / "dims.json"


def dim_trees() -> st.SearchStrategy[dims.Dim]:
    leaves: st.SearchStrategy[dims.Dim] = st.one_of(
        st.integers(-20, 20), st.sampled_from(["a", "b", "n"]).map(dims.symbol)
    )
    operations = [
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: a * b,
        dims.minimum,
        dims.maximum,
        lambda a, b: dims.floordiv(a, b) if isinstance(b, int) and b else a,
        lambda a, b: dims.mod(a, b) if isinstance(b, int) and b else a,
    ]
    return st.recursive(
        leaves,
        lambda inner: st.tuples(st.sampled_from(operations), inner, inner).map(lambda t: t[0](t[1], t[2])),
        max_leaves=6,
    )


@given(dim_trees(), st.tuples(*[st.integers(1, 50)] * 3))
def test_same_value_as_dims(dim: dims.Dim, sizes: tuple[int, int, int]) -> None:
    values = dict(zip("abn", sizes, strict=True))
    rpn = to_rpn(dim)
    check(rpn)
    assert Evaluator(values)(rpn) == evaluate(dim, values)
    assert symbols(rpn) == symbols_of(dim)


def test_shared_vectors() -> None:
    cases = json.loads(VECTORS.read_text())
    for case in cases:
        assert Evaluator(case["symbols"])(case["rpn"]) == case["value"], case
    assert len(cases) > 20


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ([], "leaves 0 values"),
        (["n", "n"], "leaves 2 values"),
        (["n", "+"], "lacks operands"),
        ("+", "lacks operands"),
        (["n", 1.5], "neither"),
        (["n", True, "+"], "neither"),
        ("n-1", "neither"),
        ("größe", "neither"),
        (2**63, "neither"),
        (["n", None, "+"], "neither"),
    ],
)
def test_malformed(expression: object, reason: str) -> None:
    with pytest.raises(ExpressionError, match=reason):
        check(expression)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        (["n", 0, "//"], "division by zero in n // 0 for n=3"),
        (["n", "n", 3, "-", "%"], "division by zero"),
        ([2**62, "n", "*"], "64-bit overflow"),
        ("m", "unbound"),
    ],
)
def test_no_value(expression: list[int | str], reason: str) -> None:
    check(expression)
    with pytest.raises(ExpressionError, match=reason):
        Evaluator({"n": 3})(expression)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (7, "7"),
        ("batch", "batch"),
        ([2, "n", "*"], "2 * n"),
        ([2, "n", "*", 1, "+"], "(2 * n) + 1"),
        (["n", 2, "max"], "max(n, 2)"),
        (["a", "b", "+", "a", "b", "-", "*"], "(a + b) * (a - b)"),
    ],
)
def test_infix(expression: int | str | list[int | str], text: str) -> None:
    assert infix(expression) == text
