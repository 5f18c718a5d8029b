"""Order: the numbers of items from the first to the last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dims import at_least
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ops.definition import REQUIRED, Case, OpDef, TensorType, present, require

Array = NDArray[Any]
Attrs = Mapping[str, Any]
Inputs = Sequence[Value | None]
Arrays = Sequence[Array | None]

F16, F32, F64, I64 = DType.F16, DType.F32, DType.F64, DType.I64
_SPECIAL = np.array([[[1], [np.nan], [-np.inf], [0], [np.inf], [-0.0], [np.nan], [2]]], np.float32)


class ArgSort(OpDef):
    """The numbers (int32) of the first `count` items of each row, in order; of equal ones the lower is first.

    Input: [rows, items, elements]; the first elements that differ decide. A NaN is greater than all else.

    Attributes:
        count: of how many items (a dim).
        descending: whether the greatest comes first.
    """

    name = "ArgSort"
    attrs: ClassVar = {"count": REQUIRED, "descending": False}
    cases = (
        Case(((F32, (3, 13, 1)),), {"count": 13}, "all"),
        Case(((F32, (3, 13, 1)),), {"count": 4, "descending": True}, "some"),
        Case(((I64, (2, 67, 1)),), {"count": 67}, "ties"),
        Case(((I64, (2, 67, 1)),), {"count": 60, "descending": True}, "ties-descending"),
        Case(((DType.BOOL, (1, 9, 1)),), {"count": 9}, "bool"),
        Case(((F16, (2, 11, 1)),), {"count": 5}, "f16"),
        Case(((F64, (2, 11, 1)),), {"count": 5}, "f64"),
        Case(((DType.U8, (2, 11, 1)),), {"count": 11, "descending": True}, "u8"),
        Case(((I64, (1, 50, 3)),), {"count": 50}, "tuples", low=0, high=2),
        Case(((F32, (2, 7, 1)),), {"count": 0}, "none"),
        Case(((F32, (2, 0, 1)),), {"count": 0}, "empty"),
        Case((_SPECIAL,), {"count": 8}, "special"),
        Case((_SPECIAL,), {"count": 8, "descending": True}, "special-descending"),
        Case(((F32, (3, 7, 1)),), {"count": 3, "descending": True}, "dynamic", {(0, 0): "batch"}),
        Case(((F32, (2, 7, 1)),), {"count": 1}, "dynamic-items", {(0, 1): "batch"}),
    )

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        (x,) = present(inputs, 1)
        require(x.rank == 3, f"sorts rows of items of elements, not {x.shape}")
        count = attrs["count"]
        require(not at_least(-1, count), f"the first {count} items")
        require(not at_least(count, x.shape[1] + 1), f"the first {count} of {x.shape[1]} items")
        return [TensorType(DType.I32, (x.shape[0], count))]

    def reference(self, inputs: Arrays, attrs: Attrs) -> list[Array]:
        (x,) = inputs
        assert x is not None
        return [argsort(x, attrs["descending"])[:, : attrs["count"]].astype(np.int32)]


def argsort(x: Array, descending: bool) -> Array:
    """The numbers of the items of each row of x [rows, items, elements], in order."""
    order = np.broadcast_to(np.arange(x.shape[1]), x.shape[:2]).copy()
    for row, items in zip(order, x if x.shape[2] else [], strict=False):
        # ranks, of which equal elements and NaNs have one, turn round without their order among equals
        ranks = np.unique(items, return_inverse=True)[1].reshape(items.shape)
        row[...] = np.lexsort(np.flip(-ranks if descending else ranks, axis=1).T)
    return order
