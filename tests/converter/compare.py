"""Comparison of results with references, by dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def assert_close(actual: NDArray[Any], expected: NDArray[Any], tolerance: float) -> None:
    """Equal shape, dtype, NaN, infinities; floats within tolerance of the largest magnitude, others equal."""
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(actual, expected)
        return
    if expected.dtype == np.float16:
        tolerance = max(tolerance, 2e-3)  # two units in the last place
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(actual[~finite], expected[~finite])
    if finite.any():
        scale = max(float(np.abs(expected[finite].astype(np.float64)).max()), 1e-6)
        difference = np.abs(actual[finite].astype(np.float64) - expected[finite].astype(np.float64))
        worst = float(difference.max())
        assert worst <= tolerance * scale, (
            f"off by {worst / scale:.1e} of the largest magnitude, allowed {tolerance:.0e}"
        )
