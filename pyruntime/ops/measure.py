"""Sizes that data decide: where a run learns them, and what is gathered into so many elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ops.definition import REQUIRED, Case, OpDef, OpError, TensorType, present, require

Array = NDArray[Any]
Attrs = Mapping[str, Any]
Inputs = Sequence[Value | None]
Arrays = Sequence[Array | None]


class Measure(OpDef):
    """Lets an integer that the graph computes be a symbol, in the shapes and attributes of all that follows.

    Input: one integer. The output is the same.

    Attributes:
        measures: the symbol's name.
        most: a dim that the integer, which is at least 0, never exceeds: memory is laid out for it.
    """

    name = "Measure"
    attrs: ClassVar = {"measures": REQUIRED, "most": REQUIRED}
    cases = (
        Case(((DType.I64, ()),), {"measures": "n", "most": 7}, "i64", low=0, high=7),
        Case(((DType.U8, (1, 1)),), {"measures": "n", "most": 7}, "u8", low=0, high=7),
    )

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        (x,) = present(inputs, 1)
        require(x.dtype.is_integer and x.elements == 1, f"measures {x.dtype!r}{x.shape}")
        return [TensorType(x.dtype, ())]

    def reference(self, inputs: Arrays, attrs: Attrs) -> list[Array]:
        (x,) = inputs
        assert x is not None
        if not 0 <= x.item() <= attrs["most"]:
            raise OpError(f"measures {x.item()}, which is not in 0 to {attrs['most']}")
        return [x.reshape(())]

    def folds(self, inputs: Inputs) -> bool:
        """The symbol is bound in a run, whatever is known before."""
        return False


class Positions(OpDef):
    """Where each of the numbers 0 to count - 1 stands in a vector that has each of them once, and else -1.

    Input: an int32 vector.

    Attributes:
        count: how many numbers there are, a dim.
    """

    name = "Positions"
    attrs: ClassVar = {"count": REQUIRED}
    cases = (
        Case((np.array([-1, 2, 0, -1, -1, 1, 3, -1], np.int32),), {"count": 4}, "some"),
        Case((np.array([3, 0, 2, 1, 4], np.int32),), {"count": 5}, "all"),
        Case((np.array([-1, -1, -1], np.int32),), {"count": 0}, "none"),
        Case(((DType.I32, (1,)),), {"count": 1}, "one", low=0, high=0),
        Case(((DType.I32, (7,)),), {"count": 0}, "dynamic", {(0, 0): "batch"}, low=-1, high=-1),
    )

    def of_nothing(self, attrs: Mapping[str, Any]) -> bool:
        """No positions among so many as there are."""
        return True

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        (x,) = present(inputs, 1)
        require(x.dtype is DType.I32 and x.rank == 1, f"takes an int32 vector, not {x.dtype!r}{x.shape}")
        return [TensorType(DType.I32, (attrs["count"],))]

    def reference(self, inputs: Arrays, attrs: Attrs) -> list[Array]:
        (x,) = inputs
        assert x is not None
        found = np.zeros(attrs["count"], np.int32)
        found[x[x >= 0]] = np.flatnonzero(x >= 0)
        return [found]
