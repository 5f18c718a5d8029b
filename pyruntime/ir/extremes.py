"""What a call tells of what it stores: the least or the largest of each run, for whom wants the range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pyruntime.ir.dims import Dim, ceildiv
from pyruntime.ir.views import View


@dataclass(frozen=True)
class Extreme:
    """One value of each run: the least or the largest of its values, or of their magnitudes.

    NaN where one of them is NaN.

    Attributes:
        combine: which of them.
        magnitude: whether it is of |x|.
        output: where it is stored, another part of the call's tensor: a view over the call's result, whose
            last axis counts runs instead of values.
    """

    combine: Literal["min", "max"]
    magnitude: bool
    output: View


@dataclass(frozen=True)
class Extremes:
    """Extremes of the same runs: of `span` values that follow along the last axis, the last one of fewer."""

    span: int
    told: tuple[Extreme, ...]

    def runs(self, columns: Dim) -> Dim:
        """How many runs so many values along the last axis make."""
        return ceildiv(columns, self.span)
