"""Writes at integer indices: ScatterElements and ScatterND."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dims import at_least
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ops.definition import Case, OpDef, TensorType, normal_axis, present, require
from pyruntime.ops.gather import check_indices, inside

Array = NDArray[Any]
Attrs = Mapping[str, Any]
Inputs = Sequence[Value | None]
Arrays = Sequence[Array | None]

BOOL, F16, F32, I32, I64 = DType.BOOL, DType.F16, DType.F32, DType.I32, DType.I64

# how an update and what was there before it are combined; with "none" the update stands alone
REDUCTIONS = ("none", "add", "mul", "min", "max")
_UFUNCS: Mapping[str, np.ufunc] = {
    "add": np.add,
    "mul": np.multiply,
    "min": np.minimum,
    "max": np.maximum,
}


def _check(data: Value, updates: Value, attrs: Attrs) -> None:
    require(data.dtype is updates.dtype, f"updates {data.dtype!r} with {updates.dtype!r}")
    reduction = attrs["reduction"]
    require(reduction in REDUCTIONS, f"reduction {reduction!r} is none of {', '.join(REDUCTIONS)}")
    require(reduction == "none" or data.dtype is not BOOL, f"reduction {reduction!r} of bool")


def _scatter(data: Array, at: tuple[Array, ...], updates: Array, reduction: str) -> Array:
    """One update after another, in row-major order."""
    result = data.copy()
    with np.errstate(all="ignore"):
        if reduction == "none":
            result[at] = updates  # of equal indices the last one stands
        else:
            _UFUNCS[reduction].at(result, at, updates)
    return result


class ScatterElements(OpDef):
    """data, but for each position of indices with the update there, at that position with the index for axis.

    Inputs: data, indices in [-size, size), and updates of the indices' shape, which is beside the axis no
    larger than data's.

    Attributes:
        axis: the axis, at least 0.
        reduction: how updates join what is there; those of equal indices come in order.
        distinct: whether no two updates are known to meet.
    """

    name = "ScatterElements"
    attrs: ClassVar = {"axis": 0, "reduction": "none", "distinct": False}
    cases = (
        Case(((F32, (3, 5)), np.array([[0, -1], [2, 3], [4, 1]]), (F32, (3, 2))), {"axis": 1}, "constant"),
        Case(((F32, (3, 5)), (I64, (3, 7)), (F32, (3, 7))), {"axis": 1}, "again", low=-5, high=4),
        Case(((F32, (5, 3)), (I32, (7, 3)), (F32, (7, 3))), {"axis": 0}, "first", low=-5, high=4),
        Case(((F32, (4, 4, 5)), (I64, (2, 7, 3)), (F32, (2, 7, 3))), {"axis": 1}, "part", low=-4, high=3),
        Case(((I64, (5,)), (I64, (3,)), (I64, (3,))), {"axis": 0}, "i64", low=-5, high=4),
        Case(((F32, (3, 2)), np.zeros((0, 2), np.int64), (F32, (0, 2))), {"axis": 0}, "empty"),
        *(
            Case(
                ((dtype, (3, 5)), (I64, (3, 7)), (dtype, (3, 7))),
                {"axis": 1, "reduction": reduction},
                f"{reduction}-{dtype.value}",
                low=-5,
                high=4,
            )
            for reduction in REDUCTIONS[1:]
            for dtype in (F32, I32)
        ),
        Case(
            ((F16, (3, 5)), (I64, (3, 7)), (F16, (3, 7))),
            {"axis": 1, "reduction": "add"},
            "add-f16",
            low=-5,
            high=4,
        ),
        Case(
            ((F32, (3, 7)), (I64, (3, 9)), (F32, (3, 9))),
            {"axis": 1, "reduction": "add"},
            "dynamic",
            {(0, 0): "batch", (1, 0): "batch", (2, 0): "batch"},
            low=-7,
            high=6,
        ),
        Case(
            ((F32, (5, 3)), (I64, (7, 3)), (F32, (7, 3))),
            {"axis": 0},
            "dynamic-axis",
            {(1, 0): "batch", (2, 0): "batch"},
            low=-5,
            high=4,
        ),
    )

    def of_nothing(self, attrs: Mapping[str, Any]) -> bool:
        """The data, without updates."""
        return True

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        data, indices, updates = present(inputs, 3)
        _check(data, updates, attrs)
        axis = normal_axis(attrs["axis"], data.rank)
        require(data.rank == indices.rank, f"{data.shape} and {indices.shape} differ in rank")
        require(indices.shape == updates.shape, f"{indices.shape} indices for {updates.shape} updates")
        check_indices(data, indices, axis)
        for a, (size, taken) in enumerate(zip(data.shape, indices.shape, strict=True)):
            require(a == axis or not at_least(taken, size + 1), f"{indices.shape} does not fit {data.shape}")
        return [TensorType(data.dtype, data.shape)]

    def reference(self, inputs: Arrays, attrs: Attrs) -> list[Array]:
        data, indices, updates = inputs
        assert data is not None
        assert indices is not None
        assert updates is not None
        at: list[Array] = [*np.indices(indices.shape)]
        at[attrs["axis"]] = inside(indices.astype(np.int64), data.shape[attrs["axis"]])
        return [_scatter(data, tuple(at), updates, attrs["reduction"])]


class ScatterND(OpDef):
    """data, but with slices updated at index tuples, which stand along the last axis of indices.

    Inputs: data; indices [any..., k], whose element j of a tuple is in [-size, size) of data's axis j;
    updates [any..., data's axes from k on].

    Attributes:
        reduction, distinct: as of ScatterElements.
    """

    name = "ScatterND"
    attrs: ClassVar = {"reduction": "none", "distinct": False}
    cases = (
        Case(((F32, (3, 5)), np.array([[0, 4], [-1, -5], [1, 2]]), (F32, (3,))), label="elements"),
        Case(((F32, (7, 2)), np.array([[[6], [-7]]]), (F32, (1, 2, 2))), label="rows"),
        Case(((F32, (3, 5, 2)), np.array([[[1, 3]], [[-2, 3]]]), (F32, (2, 1, 2))), label="same"),
        Case(((BOOL, (2, 4)), np.array([1, -2]), (BOOL, ())), label="scalar"),
        Case(((F32, (5, 2)), np.zeros((0, 1), np.int64), (F32, (0, 2))), label="empty"),
        Case(((F32, (4, 4)), (I64, (3, 7, 2)), (F32, (3, 7))), label="again", low=-4, high=3),
        Case(((I64, (5, 3)), (I64, (7, 1)), (I64, (7, 3))), label="i64", low=-5, high=4),
        *(
            Case(
                ((F32, (4, 3)), (I64, (7, 1)), (F32, (7, 3))),
                {"reduction": reduction},
                reduction,
                low=-4,
                high=3,
            )
            for reduction in REDUCTIONS[1:]
        ),
        Case(
            ((F32, (5, 4)), (I64, (7, 2)), (F32, (7,))),
            {"reduction": "add"},
            "dynamic",
            {(1, 0): "batch", (2, 0): "batch"},
            low=-4,
            high=3,
        ),
        Case(
            ((F32, (5, 4, 3)), (I64, (6, 1)), (F32, (6, 4, 3))),
            {},
            "dynamic-slices",
            {(0, 1): "batch", (2, 1): "batch"},
            low=-5,
            high=4,
        ),
    )

    def of_nothing(self, attrs: Mapping[str, Any]) -> bool:
        """The data, without updates."""
        return True

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        data, indices, updates = present(inputs, 3)
        _check(data, updates, attrs)
        require(indices.dtype in (I32, I64), f"indices are int32 or int64, not {indices.dtype!r}")
        require(indices.rank >= 1, "indices have no axis of tuples")
        count = indices.shape[-1]
        require(
            isinstance(count, int) and 1 <= count <= data.rank,
            f"tuples of {count} indices into {data.rank} axes",
        )
        wanted = (*indices.shape[:-1], *data.shape[int(str(count)) :])
        require(updates.shape == wanted, f"updates have shape {updates.shape}, not {wanted}")
        return [TensorType(data.dtype, data.shape)]

    def reference(self, inputs: Arrays, attrs: Attrs) -> list[Array]:
        data, indices, updates = inputs
        assert data is not None
        assert indices is not None
        assert updates is not None
        at = [inside(indices[..., j].astype(np.int64), data.shape[j]) for j in range(indices.shape[-1])]
        return [_scatter(data, tuple(at), updates, attrs["reduction"])]
