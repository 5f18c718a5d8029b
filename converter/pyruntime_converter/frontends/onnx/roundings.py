"""What floats make of a size times, or over, a constant: formulas of dims for the same whole numbers."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dims import Dim, ceildiv, floordiv
from pyruntime.ir.dtypes import DType

LARGEST = 2**20  # sizes up to which a formula is tried out
_SIMPLE = 1000  # the largest denominator of what a constant may have been meant as

Operator = Literal["Mul", "Div"]
Rounding = Literal["Floor", "Ceil"]


def is_exact(operator: Operator, constant: float, dtype: DType) -> bool:
    """Whether a float of this type holds every result of a size and a constant exactly."""
    if not constant:
        return False
    above, below = abs(constant).as_integer_ratio()
    odd = above >> ((above & -above).bit_length() - 1)
    digits = np.finfo(dtype.value).nmant + 1
    if operator == "Div":
        return odd == 1 and below & (below - 1) == 0
    return odd.bit_length() + LARGEST.bit_length() - 1 <= digits


def rounded(operator: Operator, size: Dim, constant: float, dtype: DType, rounding: Rounding) -> Dim | None:
    """The whole number next to what floats make of a size, from 0 to `LARGEST`, and a positive constant.

    None where no simple formula gives that of each such size.
    """
    for up, down in _factors(operator, constant, dtype, rounding):
        return floordiv(size * up, down) if rounding == "Floor" else ceildiv(size * up, down)
    return None


def _factors(
    operator: Operator, constant: float, dtype: DType, rounding: Rounding
) -> Iterator[tuple[int, int]]:
    """Fractions up / down by which sizes are multiplied: the constant itself, or what it was rounded from."""
    wanted = _computed(operator, constant, dtype, rounding)
    exact = Fraction(constant)
    for candidate in (exact.limit_denominator(_SIMPLE), exact):
        factor = candidate if operator == "Mul" or not candidate else 1 / candidate
        up, down = factor.numerator, factor.denominator
        if 0 < up < 2**30 and down < 2**30:
            product = np.arange(LARGEST + 1, dtype=np.int64) * up
            found = product // down if rounding == "Floor" else -(-product // down)
            if np.array_equal(found, wanted):
                yield up, down


@functools.lru_cache(maxsize=8)
def _computed(operator: Operator, constant: float, dtype: DType, rounding: Rounding) -> NDArray[Any]:
    sizes = np.arange(LARGEST + 1).astype(dtype.value)
    factor = np.asarray(constant, dtype.value)
    result = sizes * factor if operator == "Mul" else sizes / factor
    cut = np.floor(result) if rounding == "Floor" else np.ceil(result)
    return np.asarray(cut, np.int64)
