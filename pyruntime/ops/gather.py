"""Reads at integer indices: Gather, GatherElements, GatherND, and OneHot, which writes them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dims import Expr, at_least
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ops.definition import REQUIRED, Case, OpDef, OpError, TensorType, normal_axis, present, require

Array = NDArray[Any]
Attrs = Mapping[str, Any]
Inputs = Sequence[Value | None]
Arrays = Sequence[Array | None]

BOOL, F16, F32, I32, I64 = DType.BOOL, DType.F16, DType.F32, DType.I32, DType.I64


def _indices(array: Array | None) -> Array:
    """Indices as int64. Raises TypeError for a dim that is no integer."""
    assert array is not None
    if array.dtype == object and any(isinstance(d, Expr) for d in array.flat):
        raise TypeError("an index that depends on symbols")
    return array.astype(np.int64)


def inside(indices: Array, size: int) -> Array:
    """Indices with negative ones counted from size. Raises OpError for one outside [-size, size)."""
    if indices.size and not (-size <= indices.min() and indices.max() < size):
        raise OpError(f"indices {indices.min()} to {indices.max()} are outside an axis of {size}")
    return np.where(indices < 0, indices + size, indices)


def check_indices(data: Value, indices: Value, axis: int) -> None:
    """Raises OpError for indices along an axis of data that cannot be."""
    require(indices.dtype in (I32, I64), f"indices are int32 or int64, not {indices.dtype!r}")
    size = data.shape[axis]
    if indices.data is not None and indices.data.size:
        low, high = int(indices.data.min()), int(indices.data.max())
        require(not at_least(-low - 1, size), f"index {low} is outside an axis of {size}")
        require(not at_least(high, size), f"index {high} is outside an axis of {size}")


class Gather(OpDef):
    """Slices of data along an axis, at indices of any shape, whose axes take the axis's place.

    Inputs: data, and indices in [-size, size); negative ones count from the end.

    Attributes:
        axis: the axis, at least 0.
    """

    name = "Gather"
    any_type = True
    attrs: ClassVar = {"axis": 0}
    contents = True
    cases = (
        Case(((F32, (7, 5)), np.array([[0, 6], [3, -1], [2, 2]])), {"axis": 0}, "rows"),
        Case(((F32, (3, 7)), np.array([6, 0, -7], np.int32)), {"axis": 1}, "columns"),
        Case(((F32, (2, 5, 3)), np.array(4)), {"axis": 1}, "scalar"),
        Case(((I64, (5,)), np.array([1, 3])), {"axis": 0}, "i64"),
        Case(((F32, (3, 2)), np.zeros((0,), np.int64)), {"axis": 0}, "empty"),
        Case(((F32, (11, 3)), (I64, (4, 2))), {"axis": 0}, "dynamic", {(1, 0): "batch"}, low=-11, high=10),
        Case(((F16, (4, 3)), (I64, (5,))), {"axis": 1}, "dynamic-f16", {(0, 0): "batch"}, low=-3, high=2),
        Case(((BOOL, (4, 2)), np.array([2, 0])), {"axis": 0}, "bool"),
    )

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        data, indices = present(inputs, 2)
        axis = normal_axis(attrs["axis"], data.rank)
        check_indices(data, indices, axis)
        return [TensorType(data.dtype, (*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :]))]

    def reference(self, inputs: Arrays, attrs: Attrs) -> list[Array]:
        data, axis = inputs[0], attrs["axis"]
        assert data is not None
        return [np.asarray(data.take(inside(_indices(inputs[1]), data.shape[axis]), axis=axis), data.dtype)]


class GatherElements(OpDef):
    """For each position of indices the element of data there, but for the axis, where the index says.

    Inputs: data, and indices in [-size, size) of the same rank and, beside the axis, no larger.

    Attributes:
        axis: the axis, at least 0.
    """

    name = "GatherElements"
    any_type = True
    attrs: ClassVar = {"axis": 0}
    cases = (
        Case(((F32, (3, 5)), (I64, (3, 2))), {"axis": 1}, "last", low=-5, high=4),
        Case(((F32, (5, 3)), (I32, (7, 3))), {"axis": 0}, "first", low=-5, high=4),
        Case(((F32, (3, 4, 5)), (I64, (2, 7, 3))), {"axis": 1}, "smaller", low=-4, high=3),
        Case(((I64, (5,)), np.array([4, -5])), {"axis": 0}, "i64"),
        Case(
            ((F32, (3, 7)), (I64, (3, 2))),
            {"axis": 1},
            "dynamic",
            {(0, 0): "batch", (1, 0): "batch"},
            low=-7,
            high=6,
        ),
    )

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        data, indices = present(inputs, 2)
        axis = normal_axis(attrs["axis"], data.rank)
        require(data.rank == indices.rank, f"{data.shape} and {indices.shape} differ in rank")
        check_indices(data, indices, axis)
        for a, (size, taken) in enumerate(zip(data.shape, indices.shape, strict=True)):
            require(a == axis or not at_least(taken, size + 1), f"{indices.shape} does not fit {data.shape}")
        return [TensorType(data.dtype, indices.shape)]

    def reference(self, inputs: Arrays, attrs: Attrs) -> list[Array]:
        data, axis = inputs[0], attrs["axis"]
        assert data is not None
        indices = inside(_indices(inputs[1]), data.shape[axis])
        cut = data[tuple(slice(None) if a == axis else slice(n) for a, n in enumerate(indices.shape))]
        return [np.take_along_axis(cut, indices, axis)]


class GatherND(OpDef):
    """Slices of data at index tuples, which stand along the last axis of indices.

    Inputs: data; indices [batch..., any..., k], whose element j of a tuple is in [-size, size) of data's axis
    batch_dims + j; negative ones count from the end. Gives [batch..., any..., data's axes from
    batch_dims + k on].

    Attributes:
        batch_dims: leading axes that data and indices share.
    """

    name = "GatherND"
    any_type = True
    attrs: ClassVar = {"batch_dims": 0}
    contents = True
    cases = (
        Case(((F32, (3, 5)), np.array([[0, 4], [-1, -5], [2, 2]])), label="elements"),
        Case(((F32, (3, 5, 2)), np.array([[[1, 3]], [[-3, 0]]], np.int64)), label="slices"),
        Case(((F32, (7, 2)), np.array([[[6], [-7]]])), label="rows"),
        Case(((F32, (2, 5, 3)), np.array([[[4], [-1]], [[0], [3]]])), {"batch_dims": 1}, "batch"),
        Case(((I64, (2, 3, 5)), np.array([[[1], [4], [-5]], [[0], [0], [2]]])), {"batch_dims": 2}, "i64"),
        Case(((BOOL, (2, 4)), np.array([1, -2])), label="scalar"),
        Case(((F32, (5, 2)), np.zeros((0, 1), np.int64)), label="empty"),
        Case(((F32, (5, 4)), (I64, (3, 7, 2))), label="dynamic", symbols={(1, 0): "batch"}, low=-4, high=3),
        Case(
            ((F16, (3, 5, 4)), (I64, (3, 2, 1))),
            {"batch_dims": 1},
            "dynamic-batch",
            {(0, 0): "batch", (1, 0): "batch"},
            low=-5,
            high=4,
        ),
    )

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        data, indices = present(inputs, 2)
        batch = attrs["batch_dims"]
        require(indices.dtype in (I32, I64), f"indices are int32 or int64, not {indices.dtype!r}")
        require(0 <= batch < min(data.rank, indices.rank), f"batch_dims {batch}")
        require(
            data.shape[:batch] == indices.shape[:batch], f"{data.shape} and {indices.shape} differ in batches"
        )
        count = indices.shape[-1]
        require(
            isinstance(count, int) and 1 <= count <= data.rank - batch,
            f"tuples of {count} indices into {data.rank - batch} axes",
        )
        assert isinstance(count, int)
        return [TensorType(data.dtype, (*indices.shape[:-1], *data.shape[batch + count :]))]

    def reference(self, inputs: Arrays, attrs: Attrs) -> list[Array]:
        data, batch = inputs[0], attrs["batch_dims"]
        assert data is not None
        tuples = _indices(inputs[1])
        rank = tuples.ndim - 1
        at = [
            np.arange(n).reshape([-1 if a == i else 1 for a in range(rank)])
            for i, n in enumerate(data.shape[:batch])
        ]
        at += [inside(tuples[..., j], data.shape[batch + j]) for j in range(tuples.shape[-1])]
        return [np.asarray(data[tuple(at)], data.dtype)]


class OneHot(OpDef):
    """A new axis that is `on` at the index and `off` elsewhere; an index outside [-depth, depth) gives no on.

    Inputs: indices of any number type (floats are truncated), values [off, on].

    Attributes:
        axis: where the new axis goes in the result, at least 0.
        depth: its size (a dim).
    """

    name = "OneHot"
    attrs: ClassVar = {"axis": REQUIRED, "depth": REQUIRED}
    cases = (
        Case(((I64, (3, 4)), np.array([0, 1], np.float32)), {"axis": 2, "depth": 5}, "last", low=-7, high=7),
        Case(((I32, (7,)), np.array([2.5, -1], np.float32)), {"axis": 0, "depth": 3}, "first", low=0, high=2),
        Case(((I64, (2, 3)), np.array([0, 1])), {"axis": 1, "depth": 4}, "i64", low=0, high=3),
        Case(((I64, ()), np.array([0, 1], np.float32)), {"axis": 0, "depth": 3}, "scalar", low=0, high=2),
        Case(
            (np.array([0, 3, -1, 4], np.float32), np.array([0, 1], np.float32)),
            {"axis": 1, "depth": 4},
            "float",
        ),
        Case(
            ((I64, (3, 5)), np.array([0, 1], np.float32)),
            {"axis": 2, "depth": 11},
            "dynamic",
            {(0, 0): "batch"},
            low=0,
            high=10,
        ),
    )

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        indices, values = present(inputs, 2)
        axis = normal_axis(attrs["axis"], indices.rank + 1)
        require(indices.dtype is not BOOL, "indices are numbers, not bool")
        require(values.shape == (2,), f"values are [off, on], not {values.shape}")
        require(at_least(attrs["depth"], 0), f"depth {attrs['depth']} may be negative")
        return [TensorType(values.dtype, (*indices.shape[:axis], attrs["depth"], *indices.shape[axis:]))]

    def reference(self, inputs: Arrays, attrs: Attrs) -> list[Array]:
        values, axis, depth = inputs[1], attrs["axis"], attrs["depth"]
        assert values is not None
        indices = np.expand_dims(_indices(inputs[0]), axis)
        indices = np.where(indices < 0, indices + depth, indices)
        positions = np.arange(depth).reshape([-1 if a == axis else 1 for a in range(indices.ndim)])
        return [np.where(indices == positions, values[1], values[0]).astype(values.dtype)]
