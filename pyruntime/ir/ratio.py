"""Numbers that are not whole, as fractions of dims: how floats that are fed decide sizes, exactly."""

from __future__ import annotations

import math
import struct
from typing import Literal, NamedTuple

from pyruntime.errors import InputError
from pyruntime.ir.dims import Dim

Part = Literal["numerator", "denominator"]
MOST_ABOVE, MOST_BELOW = 2**53 - 1, 2**62  # what every host holds exactly


class Ratio(NamedTuple):
    """above / below, of which the latter is at least 1."""

    above: Dim
    below: Dim


def of_bfloat16(code: int) -> float:
    """The number that 16 bits stand for as a bfloat16."""
    (number,) = struct.unpack("<f", struct.pack("<I", code << 16))
    assert isinstance(number, float)
    return number


def part_of(value: float | int, part: Part | None, name: str) -> int:
    """What an element of an input gives to a symbol: itself, or a part of the fraction in lowest terms.

    Raises InputError, which names the input, for floats that are no fraction of integers that hosts hold.
    """
    if part is None:
        return int(value)
    above, below = float(value).as_integer_ratio() if math.isfinite(value) else (0, 0)
    if not below or abs(above) > MOST_ABOVE or below > MOST_BELOW:
        raise InputError(f"input {name!r}: {value} decides sizes, and is not finite, too large or too fine")
    return above if part == "numerator" else below
