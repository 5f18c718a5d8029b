"""Reductions over axes: sum, mean, maximum, minimum, product, and the positions of extremes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir import dims
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Shape, Value
from pyruntime.ops.definition import REQUIRED, Case, OpDef, TensorType, normal_axis, present, require

Array = NDArray[Any]

F16, F32, I32, I64, U8 = DType.F16, DType.F32, DType.I32, DType.I64, DType.U8
BATCH = {(0, 0): "batch"}


def reduced_shape(shape: Shape, axes: Sequence[int], keepdims: bool) -> Shape:
    """The shape that is left when axes are reduced to one, or dropped."""
    kept = [1 if a in axes else d for a, d in enumerate(shape)]
    return tuple(d for a, d in enumerate(kept) if keepdims or a not in axes)


FLOATS = (
    Case(((F32, (3, 7)),), {"axes": (1,)}, "last"),
    Case(((F32, (5, 3)),), {"axes": (0,), "keepdims": False}, "first"),
    Case(((F32, (2, 3, 5, 4)),), {"axes": (2, 3), "keepdims": False}, "spatial"),
    Case(((F32, (2, 3, 5)),), {"axes": (0, 2)}, "split"),
    Case(((F32, (17,)),), {"axes": (0,), "keepdims": False}, "all"),
    Case(((F32, (3, 2)),), {"axes": ()}, "none"),
    Case(((F32, (3, 2, 7)),), {"axes": (2,)}, "dynamic", BATCH),
    Case(((F32, (5, 3)),), {"axes": (0,), "keepdims": False}, "dynamic-axis", BATCH),
    Case(((F16, (3, 11)),), {"axes": (1,)}, "f16"),
    Case(((F32, (2, 131)),), {"axes": (1,)}, "long", low=-1.2, high=1.2),
)
INTEGERS = (
    Case(((I32, (3, 7)),), {"axes": (1,)}, "i32"),
    Case(((I64, (2, 3)),), {"axes": (0, 1), "keepdims": False}, "i64"),
)
EMPTY = Case(((F32, (2, 0)),), {"axes": (1,)}, "empty")
SPECIAL = Case(
    (np.array([[1, np.nan, 3], [np.inf, 0, 1], [-np.inf, 2, 0]], np.float32),), {"axes": (1,)}, "special"
)


class _Reduce(OpDef):
    """One value for each point of the axes that are kept.

    Attributes:
        axes: the reduced axes, ascending, at least 0; with none the result is the input.
        keepdims: whether reduced axes stay, with size 1.
    """

    attrs: ClassVar = {"axes": REQUIRED, "keepdims": True}
    combine: ClassVar[Any]
    combine_dims: ClassVar[Any] = None

    def of_nothing(self, attrs: Mapping[str, Any]) -> bool:
        """What the combination begins with."""
        return True

    def infer(self, inputs: Sequence[Value | None], attrs: Mapping[str, Any]) -> list[TensorType]:
        (x,) = present(inputs, 1)
        axes = attrs["axes"]
        require(
            list(axes) == sorted({normal_axis(a, x.rank) for a in axes}), f"axes {axes} are not ascending"
        )
        require(x.dtype is not DType.BOOL, "does not reduce bool")
        return [TensorType(x.dtype, reduced_shape(x.shape, axes, attrs["keepdims"]))]

    def reference(self, inputs: Sequence[Array | None], attrs: Mapping[str, Any]) -> list[Array]:
        (x,) = inputs
        assert x is not None
        axes, keepdims = tuple(attrs["axes"]), attrs["keepdims"]
        if not axes:
            return [x.copy()]
        if x.dtype == object:
            return [self._reduce_dims(x, axes, keepdims)]
        wide = x.astype(np.float64) if x.dtype.kind == "f" else x
        return [np.asarray(self.reduce(wide, axes, keepdims)).astype(x.dtype)]

    def reduce(self, x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
        """The reduction of doubles or integers. Integers wrap."""
        initial: dict[str, Any] = {}
        if self.combine in (np.maximum, np.minimum):
            # what no element can change
            low, high = (
                (-np.inf, np.inf) if x.dtype.kind == "f" else (np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)
            )
            initial = {"initial": low if self.combine is np.maximum else high}
        return np.asarray(self.combine.reduce(x, axis=axes, keepdims=keepdims, dtype=x.dtype, **initial))

    def _reduce_dims(self, x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
        if self.combine_dims is None or x.size == 0:
            raise TypeError(f"{self.name} of these dims is no dim")
        combine = np.frompyfunc(self.combine_dims, 2, 1)
        for axis in reversed(axes):
            x = np.asarray(combine.reduce(x, axis=axis, keepdims=keepdims), dtype=object)
        return x


class ReduceSum(_Reduce):
    """The sum."""

    name = "ReduceSum"
    contents = True
    cases = (*FLOATS, *INTEGERS, EMPTY)
    combine = np.add
    combine_dims = staticmethod(lambda a, b: a + b)


class ReduceProd(_Reduce):
    """The product."""

    name = "ReduceProd"
    contents = True
    cases = (*FLOATS, *INTEGERS, EMPTY)
    combine = np.multiply
    combine_dims = staticmethod(lambda a, b: a * b)


class ReduceMax(_Reduce):
    """The largest; NaN where there is one."""

    name = "ReduceMax"
    contents = True
    cases = (*FLOATS, *INTEGERS, SPECIAL, Case(((U8, (5, 3)),), {"axes": (0,)}, "u8", high=255))
    combine = np.maximum
    combine_dims = staticmethod(dims.maximum)


class ReduceMin(_Reduce):
    """The smallest; NaN where there is one."""

    name = "ReduceMin"
    contents = True
    cases = (*FLOATS, *INTEGERS, SPECIAL, Case(((U8, (5, 3)),), {"axes": (0,)}, "u8", high=255))
    combine = np.minimum
    combine_dims = staticmethod(dims.minimum)


class ReduceMean(_Reduce):
    """The mean; of integers truncated towards zero."""

    name = "ReduceMean"
    cases = (
        *FLOATS,
        *INTEGERS,
        Case(((F16, (3, 64)),), {"axes": (1,)}, "f16-large", low=3000, high=5000),  # the sum is past float16
    )
    combine = np.add

    def reduce(self, x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
        """The sum over the count."""
        total = super().reduce(x, axes, keepdims)
        count = int(np.prod([x.shape[a] for a in axes]))
        if x.dtype.kind == "f":
            return np.asarray(total / count)
        return np.asarray(np.sign(total) * (np.abs(total) // count))


TIES = np.array([[1, 3, 3, -2], [5, 5, 5, 5], [0, -1, -1, 0]], np.float32)


class _Extreme(OpDef):
    """The position (int64) of an extreme along an axis: of the first one, or of the last.

    Attributes:
        axis: the axis, at least 0.
        keepdims: whether it stays, with size 1.
        select_last_index: which one of equals.
    """

    attrs: ClassVar = {"axis": REQUIRED, "keepdims": True, "select_last_index": False}
    cases = (
        Case(((F32, (3, 7)),), {"axis": 1}, "last"),
        Case(((F32, (5, 3)),), {"axis": 0, "keepdims": False}, "first"),
        Case(((F32, (2, 3, 5)),), {"axis": 1, "keepdims": False}, "middle"),
        Case((TIES,), {"axis": 1}, "ties"),
        Case((TIES,), {"axis": 1, "select_last_index": True}, "ties-last"),
        Case(((F32, (4, 11)),), {"axis": 1, "keepdims": False}, "dynamic", BATCH),
        Case(((I32, (2, 5)),), {"axis": 1}, "i32"),
        Case(((F16, (2, 5)),), {"axis": 1}, "f16"),
    )

    def infer(self, inputs: Sequence[Value | None], attrs: Mapping[str, Any]) -> list[TensorType]:
        (x,) = present(inputs, 1)
        axis = normal_axis(attrs["axis"], x.rank)
        require(x.shape[axis] != 0, f"an empty axis has no {self.name}")
        return [TensorType(DType.I64, reduced_shape(x.shape, (axis,), attrs["keepdims"]))]

    @staticmethod
    def find(x: Array, axis: int) -> Array:
        """Positions of the first extremes along axis, which stays with size 1."""
        raise NotImplementedError

    def reference(self, inputs: Sequence[Array | None], attrs: Mapping[str, Any]) -> list[Array]:
        (x,) = inputs
        assert x is not None
        axis = attrs["axis"]
        if attrs["select_last_index"]:
            found = x.shape[axis] - 1 - self.find(np.flip(x, axis), axis)
        else:
            found = self.find(x, axis)
        return [(found if attrs["keepdims"] else found.squeeze(axis)).astype(np.int64)]


class ArgMax(_Extreme):
    """The position of the largest."""

    name = "ArgMax"

    @staticmethod
    def find(x: Array, axis: int) -> Array:
        return np.asarray(np.argmax(x, axis=axis, keepdims=True))


class ArgMin(_Extreme):
    """The position of the smallest."""

    name = "ArgMin"

    @staticmethod
    def find(x: Array, axis: int) -> Array:
        return np.asarray(np.argmin(x, axis=axis, keepdims=True))
