"""Sums of dims as C: those of many products are no nest that a compiler cannot take."""

from __future__ import annotations

import itertools

import pytest
from pyruntime_wasm.module import long_sum


@pytest.mark.parametrize("count", [1, 2, 3, 1000, 4096])
def test_long_sums_are_shallow(count: int) -> None:
    text = long_sum([f"{n}ll" for n in range(count)])
    depths = itertools.accumulate({"(": 1, ")": -1}.get(c, 0) for c in text)
    assert max(depths) == (count - 1).bit_length()
    assert eval(text.replace("ll", ""), {"long_add": lambda a, b: a + b}) == sum(range(count))
