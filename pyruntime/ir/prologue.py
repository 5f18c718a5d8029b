"""What a product makes of its left operand's elements where it loads them, instead of a tensor of levels."""

from __future__ import annotations

from dataclasses import dataclass

from pyruntime.ir.dtypes import DType
from pyruntime.ir.scalar import Scalar
from pyruntime.ir.views import View


@dataclass(frozen=True)
class Prologue:
    """Elements as levels of 8 bits.

    Attributes:
        body: a tree whose leaves are constants and loads: Load 0 is the operand's element, Load n is of
            `others[n - 1]`.
        others: views over the operand's axes that stand still along the last one, such as the scale of a row.
    """

    body: Scalar
    others: tuple[View, ...] = ()


def multiplied_dtype(view: View, prologue: Prologue | None) -> DType:
    """The dtype of the elements of an operand that are multiplied."""
    return view.tensor.dtype if prologue is None else prologue.body.dtype
