"""Sequences of a batch that end at different times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ops.definition import Case, OpDef, TensorType, normal_axis, present, require

Array = NDArray[Any]

F32, I32, I64 = DType.F32, DType.I32, DType.I64
LENGTHS = np.array([4, 1, 3], np.int64)


class ReverseSequence(OpDef):
    """The first lengths[b] elements of each row b of x in reverse along time, and the others as they are.

    Inputs: x, and lengths [batch], int32 or int64; a length above the time axis's size counts as that size.

    Attributes:
        time_axis, batch_axis: two different axes of x, at least 0.
    """

    name = "ReverseSequence"
    any_type = True
    attrs: ClassVar = {"time_axis": 0, "batch_axis": 1}
    cases = (
        Case(((F32, (4, 3)), LENGTHS), label="matrix"),
        Case(((F32, (4, 3, 5)), LENGTHS), label="features"),
        Case(((F32, (3, 4, 5)), LENGTHS), {"time_axis": 1, "batch_axis": 0}, "batch-first"),
        Case(((I32, (4, 3)), LENGTHS), label="i32"),
        Case(((F32, (4, 3, 2)), LENGTHS), {}, "dynamic", {(0, 0): "steps"}),
        Case(((F32, (5, 4)), (I64, (4,))), {}, "dynamic-batch", {(0, 1): "n", (1, 0): "n"}, low=1, high=5),
    )

    def infer(self, inputs: Sequence[Value | None], attrs: Mapping[str, Any]) -> list[TensorType]:
        x, lengths = present(inputs, 2)
        time, batch = (normal_axis(attrs[f"{name}_axis"], x.rank) for name in ("time", "batch"))
        require(time != batch, "time and batch are one axis")
        require(lengths.dtype in (I32, I64), f"lengths are int32 or int64, not {lengths.dtype!r}")
        require(lengths.shape == (x.shape[batch],), f"{lengths.shape} lengths for {x.shape[batch]} rows")
        return [TensorType(x.dtype, x.shape)]

    def reference(self, inputs: Sequence[Array | None], attrs: Mapping[str, Any]) -> list[Array]:
        x, lengths = inputs
        assert x is not None
        assert lengths is not None
        result = x.copy()
        moved, target = (
            np.moveaxis(a, (attrs["time_axis"], attrs["batch_axis"]), (0, 1)) for a in (x, result)
        )
        for b, length in enumerate(lengths):
            target[:length, b] = moved[:length, b][::-1]
        return [result]
