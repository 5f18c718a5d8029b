"""Steps in parts: every kernel gives the same bits however it is cut, and whoever computes a part."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from pyruntime_wasm.kernels import Share, kernel_for
from pyruntime_wasm.kernels._share import best_cut

from pyruntime.ir.dims import Dim, ceildiv, evaluate, symbol
from tests.kernels import wasm_harness
from tests.wasm.test_kernels import KINDS, cases

pytestmark = pytest.mark.wasm


@pytest.mark.parametrize("kind", KINDS)
def test_parts_change_no_bit(kind: str) -> None:
    """There are more parts than many cases have rows; the lead runs them all, and then a team does."""
    together = {v: f"{v}-threads" for v in wasm_harness.VARIANTS}
    suite = wasm_harness.build(cases(kind), (*together, *together.values()), grain=1)
    for slow_splats in (False, True):  # other tiles
        for variant in suite.modules:
            suite.tune(variant, slow_splats=slow_splats)
        for case, variant in itertools.product(cases(kind), together):
            whole, _ = suite.run(case, variant)
            parts, _ = suite.run(case, variant, wasm_harness.TEAM)
            shared, _ = suite.run(case, together[variant])
            assert whole.tobytes() == parts.tobytes() == shared.tobytes(), f"{case.name}, {variant}"


@pytest.mark.parametrize(
    "kind", ["attention", "conv", "cumulate", "integer", "map", "matmul", "pool", "recurrence", "row"]
)
def test_most_calls_can_be_shared(kind: str) -> None:
    shared = [any(isinstance(a, Share) for a in kernel_for(c.call).arguments(c.call)) for c in cases(kind)]
    assert np.mean(shared) > 0.8


@pytest.mark.parametrize(
    ("units", "cut"),
    [
        ([symbol("batch"), 12, ceildiv(symbol("length"), 48)], {(1, 256): 1, (9, 256): 0}),
        ([symbol("batch"), symbol("length")], {(1, 256): 1, (9, 2): 0, (9, 256): 0, (3, 2): 0}),
        ([3, symbol("length")], {(1, 256): 1, (1, 2): 0}),
        ([3, 4], {(1, 1): 1}),
        ([symbol("length")], {(1, 256): 0}),
    ],
)
def test_an_axis_that_turns_out_short_is_not_cut(units: list[Dim], cut: dict[tuple[int, int], int]) -> None:
    share = best_cut(list(enumerate(units)), 0)
    for (batch, length), axis in cut.items():
        values = {"batch": batch, "length": length}
        assert evaluate(share.axis, values) == axis
        assert evaluate(share.units, values) == evaluate(units[axis], values)
