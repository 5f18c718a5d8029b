"""Convolutions by transformed tiles: what they lose, and how far a NaN reaches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pyruntime_wasm.kernels import _winograd

from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Conv
from pyruntime.ir.symbols import evaluate
from tests.kernels import cases_integer, wasm_harness
from tests.kernels.case import Case
from tests.kernels.cases_conv import WINOGRAD, Shape, _case, same

pytestmark = pytest.mark.wasm

LOSS = 1e-5  # of the largest output


def _call(case: Case) -> Conv:
    assert isinstance(case.call, Conv)
    return case.call


def test_the_kernel_cases_are_computed_this_way() -> None:
    taken = [s for s in WINOGRAD if _winograd.pays(_call(_case(s)))]
    assert [str(s) for s in WINOGRAD if s not in taken] == []


@pytest.mark.parametrize(
    "shape",
    [
        Shape((9, 9), 16, 16, (3, 3), (2, 2)),
        Shape((9, 9), 16, 16, (3, 3), dilations=(2, 2)),
        Shape((9, 9), 16, 16, (1, 3)),
        Shape((9, 9), 32, 32, (3, 3), groups=2),
        Shape((9, 9), 18, 16, (3, 3)),
        Shape((9, 9), 16, 8, (3, 3)),
        Shape((4, 9), 16, 16, (3, 3), before=(1, 1), after=(1, 1)),
    ],
    ids=str,
)
def test_others_are_not(shape: Shape) -> None:
    assert not _winograd.pays(_call(_case(shape)))


def test_kernel_cases_of_bytes_are_computed_this_way() -> None:
    cases = [c for c in cases_integer.cases() if "transformed" in c.name]
    assert len(cases) == 2 * len(cases_integer.WINOGRAD)
    assert [c.name for c in cases if not _winograd.pays(_call(c))] == []


def test_bytes_are_not_whose_outputs_might_wrap() -> None:
    """64 times the largest output of 224 channels is within int32; of 232 not, unless weights are known."""
    call = next(_call(c) for c in cases_integer.cases() if "224->16" in c.name)
    weight = call.weight.tensor
    assert _winograd.pays(call)
    assert weight.magnitude is not None
    weight.magnitude = None
    assert _winograd.pays(call)
    assert not _winograd.pays(replace(call, in_channels=232))
    weight.magnitude = (1 << 18) - 1
    assert _winograd.pays(replace(call, in_channels=232))
    weight.magnitude += 1
    assert not _winograd.pays(call)


def test_other_dtypes_are_not() -> None:
    assert not _winograd.pays(_call(_case(same(Shape((9, 9), 16, 16, (3, 3))), dtype=DType.F64)))


@pytest.mark.parametrize("variant", wasm_harness.VARIANTS)
def test_loss(variant: str) -> None:
    """Sums of 4608 products of one sign on the one side, which is what follows a ReLU."""
    case = _case(same(Shape((10, 12), 512, 16, (3, 3))))
    x = _call(case).x.tensor
    case = replace(case, inputs={**case.inputs, x: np.abs(case.inputs[x])})
    actual, expected = wasm_harness.build([case], [variant]).run(case, variant)
    wasm_harness.compare(case.call, actual, expected, LOSS)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_nan_stays_in_its_tiles(value: float) -> None:
    case = _case(same(Shape((13, 14), 16, 16, (3, 3))))
    call = _call(case)
    x = case.inputs[call.x.tensor].copy()
    x[evaluate(call.x.strides[1], {}) * 9 + evaluate(call.x.strides[2], {}) * 6] = value  # pixel (9, 6)
    changed = replace(case, inputs={**case.inputs, call.x.tensor: x})
    suite = wasm_harness.build([case, changed], ["relaxed"])
    clean, _ = suite.run(case, "relaxed")
    actual, expected = suite.run(changed, "relaxed")
    actual, expected, clean = (a.reshape(13, 14, 16) for a in (actual, expected, clean))
    bad = ~np.isfinite(actual)
    assert bad[~np.isfinite(expected)].all()
    bad[8:12, 4:8] = False  # the tile's
    assert not bad.any()
    actual[8:12, 4:8] = clean[8:12, 4:8]
    np.testing.assert_array_equal(actual, clean)
