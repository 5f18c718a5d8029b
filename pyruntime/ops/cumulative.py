"""Running sums and products along an axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ops.definition import REQUIRED, Case, OpDef, TensorType, normal_axis, present, require

Array = NDArray[Any]

F32, F64, I32, I64 = DType.F32, DType.F64, DType.I32, DType.I64
BATCH = {(0, 0): "batch"}

CASES = (
    Case(((F32, (3, 7)),), {"axis": 1}, "last"),
    Case(((F32, (5, 3)),), {"axis": 0}, "first"),
    Case(((F32, (2, 5, 3)),), {"axis": 1, "exclusive": True}, "exclusive"),
    Case(((F32, (2, 5)),), {"axis": 1, "reverse": True}, "reverse"),
    Case(((F32, (3, 4)),), {"axis": 1, "exclusive": True, "reverse": True}, "exclusive-reverse"),
    Case(((F32, (3, 0)),), {"axis": 1}, "empty"),
    Case(((F32, (17,)),), {"axis": 0}, "vector"),
    Case(((F32, (3, 11)),), {"axis": 1}, "dynamic", BATCH),
    Case(((F32, (7, 3)),), {"axis": 0, "reverse": True}, "dynamic-axis", BATCH),
    Case(((I32, (3, 5)),), {"axis": 0}, "i32"),
    Case((np.array([[1, np.inf, 2], [np.nan, 1, 0]], np.float32),), {"axis": 1}, "special"),
)


class _Cumulative(OpDef):
    """The combination of all elements up to each one along an axis.

    Attributes:
        axis: the axis, at least 0.
        exclusive: whether an element itself is left out.
        reverse: whether to begin at the axis's end.
    """

    attrs: ClassVar = {"axis": REQUIRED, "exclusive": False, "reverse": False}
    ufunc: ClassVar[np.ufunc]

    def infer(self, inputs: Sequence[Value | None], attrs: Mapping[str, Any]) -> list[TensorType]:
        (x,) = present(inputs, 1)
        normal_axis(attrs["axis"], x.rank)
        require(x.dtype is not DType.BOOL, "does not accumulate bool")
        return [TensorType(x.dtype, x.shape)]

    def reference(self, inputs: Sequence[Array | None], attrs: Mapping[str, Any]) -> list[Array]:
        (x,) = inputs
        assert x is not None
        wide = np.moveaxis(x.astype(np.float64) if x.dtype.kind == "f" else x, attrs["axis"], -1)
        if attrs["reverse"]:
            wide = wide[..., ::-1]
        start = np.full((*wide.shape[:-1], 1), self.ufunc.identity, wide.dtype)
        with np.errstate(all="ignore"):
            whole = self.ufunc.accumulate(np.concatenate([start, wide], axis=-1), axis=-1, dtype=wide.dtype)
            result = whole[..., :-1] if attrs["exclusive"] else whole[..., 1:]
            if attrs["reverse"]:
                result = result[..., ::-1]
            return [np.moveaxis(result, -1, attrs["axis"]).astype(x.dtype)]


class CumSum(_Cumulative):
    """Running sums."""

    name = "CumSum"
    ufunc = np.add
    cases = CASES


class CumProd(_Cumulative):
    """Running products."""

    name = "CumProd"
    ufunc = np.multiply
    cases = CASES
