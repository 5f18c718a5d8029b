"""Steps in parts: every kernel gives the same bits however it is cut, and whoever computes a part."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from pyruntime_wasm.kernels import Share, kernel_for

from tests.kernels import wasm_harness
from tests.wasm.test_kernels import KINDS, cases

pytestmark = pytest.mark.wasm

# more parts than many cases have units, and than they have rows
THREADS = 3


@pytest.mark.parametrize("kind", KINDS)
def test_parts_change_no_bit(kind: str) -> None:
    suite = wasm_harness.build(cases(kind), wasm_harness.VARIANTS, grain=1)
    for case, variant in itertools.product(cases(kind), wasm_harness.VARIANTS):
        whole, _ = suite.run(case, variant)
        parts, _ = suite.run(case, variant, THREADS)
        assert whole.tobytes() == parts.tobytes(), f"{case.name}, {variant}"


@pytest.mark.parametrize(
    "kind", ["attention", "conv", "cumulate", "map", "matmul", "pool", "recurrence", "row"]
)
def test_most_calls_can_be_shared(kind: str) -> None:
    shared = [any(isinstance(a, Share) for a in kernel_for(c.call).arguments(c.call)) for c in cases(kind)]
    assert np.mean(shared) > 0.8
