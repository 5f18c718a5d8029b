"""Matrix multiplication."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dtypes import DType, product_dtype, sums_exactly
from pyruntime.ir.graph import Value
from pyruntime.ops.definition import Case, OpDef, TensorType, broadcast, present, require

Array = NDArray[Any]

F16, F32, I32 = DType.F16, DType.F32, DType.I32
I8, U8, I16 = DType.I8, DType.U8, DType.I16


class MatMul(OpDef):
    """The matrix product of NumPy: batch axes broadcast; a 1-D operand is a row or column, then dropped.

    Both operands have one dtype, which is the result's; or a is int8, uint8 or int16 and b int8 or uint8:
    then the result is int32, the exact sum modulo 2^32.
    """

    name = "MatMul"
    cases = (
        Case(((F32, (3, 5)), (F32, (5, 7))), label="2d"),
        Case(((F32, (1, 64)), (F32, (64, 17))), label="row"),
        Case(((F32, (33, 67)), (F32, (67, 29))), label="primes"),
        Case(((F32, (2, 3, 5)), (F32, (5, 7))), label="shared"),
        Case(((F32, (2, 1, 3, 5)), (F32, (4, 5, 2))), label="broadcast"),
        Case(((F32, (2, 3, 4, 5)), (F32, (2, 3, 5, 6))), label="heads"),
        Case(((F32, (5,)), (F32, (5,))), label="dot"),
        Case(((F32, (5,)), (F32, (2, 5, 3))), label="vector-left"),
        Case(((F32, (2, 3, 5)), (F32, (5,))), label="vector-right"),
        Case(((F32, (3, 1)), (F32, (1, 4))), label="outer"),
        Case(((F32, (3, 0)), (F32, (0, 4))), label="nothing"),
        Case(((F32, (0, 5)), (F32, (5, 4))), label="empty"),
        Case(((F32, (4, 9)), (F32, (9, 8))), label="dynamic", symbols={(0, 0): "batch"}),
        Case(
            ((F32, (2, 7, 5)), (F32, (2, 5, 7))),
            label="dynamic-batch",
            symbols={(0, 0): "batch", (1, 0): "batch", (0, 1): "length", (1, 2): "length"},
        ),
        Case(
            ((F32, (3, 7)), (F32, (7, 4))),
            label="dynamic-inner",
            symbols={(0, 1): "length", (1, 0): "length"},
        ),
        Case(((F16, (3, 8)), (F16, (8, 5))), label="f16"),
        Case(((I32, (3, 5)), (I32, (5, 7))), label="i32", low=-9, high=9),
        Case(((I8, (5, 37)), (I8, (37, 11))), label="i8", low=-128, high=127),
        Case(((U8, (4, 9)), (I8, (9, 19))), label="u8-i8", low=-128, high=127),
        Case(((I8, (2, 3, 8)), (U8, (8, 5))), label="i8-u8", low=-128, high=127),
        Case(((U8, (2, 4, 6)), (U8, (2, 6, 3))), label="u8-batch", high=255),
        Case(((I16, (3, 30)), (I8, (30, 8))), label="i16-i8", low=-128, high=127),
        Case(((I8, (3, 5)), (I8, (5, 9))), label="i8-dynamic", symbols={(0, 0): "rows"}, low=-128, high=127),
    )

    def of_nothing(self, attrs: Mapping[str, Any]) -> bool:
        """Sums of no products."""
        return True

    def infer(self, inputs: Sequence[Value | None], attrs: Mapping[str, Any]) -> list[TensorType]:
        a, b = present(inputs, 2)
        require(
            a.dtype is b.dtype or sums_exactly(a.dtype, b.dtype), f"multiplies {a.dtype!r} and {b.dtype!r}"
        )
        require(a.dtype is not DType.BOOL, "does not multiply bool")
        require(a.rank > 0 and b.rank > 0, "does not multiply scalars")
        inner = b.shape[0] if b.rank == 1 else b.shape[-2]
        require(a.shape[-1] == inner, f"{a.shape} and {b.shape} differ in the inner axis")
        shape = (
            *broadcast([a.shape[:-2], b.shape[:-2]]),
            *(a.shape[-2:-1] if a.rank > 1 else ()),
            *(b.shape[-1:] if b.rank > 1 else ()),
        )
        return [TensorType(product_dtype(a.dtype, b.dtype), shape)]

    def reference(self, inputs: Sequence[Array | None], attrs: Mapping[str, Any]) -> list[Array]:
        a, b = inputs
        assert a is not None
        assert b is not None
        if a.dtype.kind != "f":
            result = product_dtype(DType(a.dtype.name), DType(b.dtype.name)).value
            return [np.asarray(np.matmul(a.astype(result), b.astype(result)))]
        return [np.asarray(np.matmul(a.astype(np.float64), b.astype(np.float64))).astype(a.dtype)]
