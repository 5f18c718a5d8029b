"""The fewest digits of numbers, against Python's and NumPy's, and read back, over bits of all kinds."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from pyruntime.ir.dtypes import DType
from pyruntime.ops.digits import PRECISIONS, WIDTHS, written
from tests.kernels.cases_digits import all_of, patterns
from tests.ops.digits import NATIVE, text_of


@pytest.mark.parametrize("of", [DType.F32, DType.F64], ids=repr)
def test_bits(of: DType) -> None:
    for value in patterns(of, 200):
        assert written(float(value), *PRECISIONS[of]) == text_of(value, of)


def test_all_halves() -> None:
    for value in all_of(DType.F16)[::29]:
        assert written(float(value), *PRECISIONS[DType.F16]) == text_of(value, DType.F16)


@pytest.mark.parametrize("of", [d for d in PRECISIONS if d not in NATIVE], ids=repr)
def test_short_types(of: DType) -> None:
    """What no other library writes so: what the text is rounded to is the number that was written."""
    values = all_of(of)[:: 1 if of.width < 16 else 97]
    values = values[np.isfinite(values)].astype(np.float64)
    for value in values:
        text = written(float(value), *PRECISIONS[of])
        if of is DType.F8E8M0:  # to which ml_dtypes does not round to nearest
            assert np.abs(values - float(text)).argmin() == (values == value).argmax()
        else:
            assert np.float64(text).astype(getattr(ml_dtypes, of.value)).astype(np.float32) == value, text
        assert len(text) <= WIDTHS[DType.F32]
