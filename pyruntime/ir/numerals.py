"""Kernel calls between text and numbers, as casts of strings need them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from pyruntime.ir.dims import Dim
from pyruntime.ir.dtypes import DType, words_of
from pyruntime.ir.kernel import KernelCall
from pyruntime.ir.views import View


@dataclass(frozen=True, kw_only=True)
class Numerals(KernelCall):
    """The number that each row of bytes is in decimal, as `ops.numerals.ParseNumber` has it.

    `x` has strides (row, byte). `output`, uint32 over (row, word) and contiguous, gets the words of numbers
    of the type `to`, the least significant first.
    """

    template: ClassVar[str] = "numerals"
    rows: Dim
    width: Dim
    to: DType
    odd: bool = False
    x: View

    @property
    def words(self) -> int:
        """Words of a number."""
        return words_of(self.to)

    def reads(self) -> Iterator[View]:
        """The bytes."""
        yield self.x


@dataclass(frozen=True, kw_only=True)
class Digits(KernelCall):
    """The text of each number, as `ops.digits.FormatNumber` has it.

    `x`, float32 or float64, has strides (row,) and holds numbers of `precision` bits, the normal
    ones from 2^`least` on. `output`, uint8 over (row, byte) and contiguous, gets `width` bytes for each.
    """

    template: ClassVar[str] = "digits"
    rows: Dim
    width: int
    precision: int
    least: int
    x: View

    def reads(self) -> Iterator[View]:
        """The numbers."""
        yield self.x
