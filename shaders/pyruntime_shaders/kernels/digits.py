"""Text of numbers, which hosts write."""

from __future__ import annotations

from pyruntime.ir.numerals import Digits
from pyruntime_shaders.module import Kernel, refusal


def prepare(call: Digits) -> list[Kernel]:
    """Nothing: raises UnsupportedError, since the arithmetic is of integers of a thousand bits."""
    raise refusal(call, "numbers are written on the CPU")
