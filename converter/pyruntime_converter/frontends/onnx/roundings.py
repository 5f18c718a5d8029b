"""What floats make of a size times, or over, a constant: formulas of dims for the same whole numbers."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.conditions import less
from pyruntime.ir.dims import Dim, ceildiv, floordiv
from pyruntime.ir.dtypes import DType
from pyruntime.ir.ratio import Ratio

LARGEST = 2**20  # sizes up to which a formula is tried out
LARGEST_SCALED = 2**22  # the same for sizes that a constant scales, of at most so many elements
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


def meant(scale: float) -> Ratio:
    """The simple fraction that float32 rounds to a scale; the scale itself where there is none."""
    simple = Fraction(scale).limit_denominator(_SIMPLE)
    return Ratio(*(scale if float(np.float32(simple)) != scale else simple).as_integer_ratio())


def product(size: int, scale: float) -> float:
    """What float32 makes of a size times a scale that it holds."""
    exact = size * scale
    return float(np.float32(size) * np.float32(scale)) if exact < 2**31 else exact


def scaled(size: Dim, scale: float, most: int) -> Dim:
    """The floor of what float32 makes of a size times a positive scale.

    Tried on all sizes that give at most so many elements, up to `LARGEST_SCALED`.
    """
    if isinstance(size, int):
        return math.floor(product(size, scale))
    up, down, steps = _steps(scale, min(int(most / scale) + 1, LARGEST_SCALED))
    return floordiv(size * up + sum((less(before, size) * more for before, more in steps), start=0), down)


@functools.lru_cache(maxsize=64)
def _steps(scale: float, last: int) -> tuple[int, int, tuple[tuple[int, int], ...]]:
    """up, down, and by how much more size * up grows beyond which sizes, to be right when cut over down."""
    sizes = np.arange(last + 1, dtype=np.int64)
    wanted = np.floor(sizes.astype(np.float32) * np.float32(scale)).astype(np.int64)
    up, down = meant(scale)
    if isinstance(up, int) and isinstance(down, int) and np.array_equal(sizes * up // down, wanted):
        return up, down, ()
    up, down = scale.as_integer_ratio()
    least = wanted * down - sizes * up  # to be added at least, and at most what is less than one more
    steps, start, present = [], 0, 0
    while start <= last:
        count, added = _alike(least, down, start)
        steps.append((start - 1, added - present))
        start, present = start + count, added
    return up, down, tuple(steps)


def _alike(least: NDArray[np.int64], down: int, start: int) -> tuple[int, int]:
    """How many sizes from one on the same amount is right for, and that amount."""
    span = max(start, 64)
    while True:
        low = np.maximum.accumulate(least[start : start + span])
        high = np.minimum.accumulate(least[start : start + span]) + down - 1
        apart = np.flatnonzero(low > high)
        if apart.size or start + span >= len(least):
            count = int(apart[0]) if apart.size else len(low)
            return count, max(int(low[count - 1]), 0)
        span *= 4
