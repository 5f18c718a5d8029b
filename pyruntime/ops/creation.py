"""Tensors that are computed from attributes alone: Range."""

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

F16, F32, I16, I32, I64 = DType.F16, DType.F32, DType.I16, DType.I32, DType.I64


class Range(OpDef):
    """start, start + step, ..., `size` numbers in all.

    Attributes:
        start, step: a dim, or for a float dtype a float.
        size: a dim.
        dtype: any but bool.
    """

    name = "Range"
    attrs: ClassVar = {"start": 0, "step": 1, "size": REQUIRED, "dtype": I64}
    cases = (
        Case((), {"size": 7}, "i64"),
        Case((), {"start": 5, "step": -3, "size": 4, "dtype": I32}, "i32"),
        Case((), {"start": -2, "step": 2, "size": 5, "dtype": I16}, "i16"),
        Case((), {"start": 0.5, "step": 0.25, "size": 13, "dtype": F32}, "f32"),
        Case((), {"start": 3, "step": -1, "size": 6, "dtype": F32}, "f32-whole"),
        Case((), {"size": 0}, "empty"),
    )

    def infer(self, inputs: Sequence[Value | None], attrs: Mapping[str, Any]) -> list[TensorType]:
        present(inputs, 0)
        dtype = attrs["dtype"]
        require(dtype is not DType.BOOL, "bools do not count")
        whole = not any(isinstance(attrs[name], float) for name in ("start", "step"))
        require(whole or dtype.is_float, f"a fraction as {dtype!r}")
        require(at_least(attrs["size"], 0), f"size {attrs['size']} may be negative")
        return [TensorType(dtype, (attrs["size"],))]

    def reference(self, inputs: Sequence[Array | None], attrs: Mapping[str, Any]) -> list[Array]:
        steps = np.arange(attrs["size"], dtype=np.float64 if attrs["dtype"].is_float else np.int64)
        return [(attrs["start"] + steps * attrs["step"]).astype(attrs["dtype"].value)]
