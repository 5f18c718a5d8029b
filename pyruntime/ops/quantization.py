"""Quantising and dequantising: integers that stand for (integer - zero point) * scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ir.scalar import Const, Scalar, call, cast
from pyruntime.ops.definition import Case, Elementwise
from pyruntime.ops.trees import const, require_float

F16, F32, I8, I16, I32, U8 = DType.F16, DType.F32, DType.I8, DType.I16, DType.I32, DType.U8
SPECIAL = np.array([np.inf, -np.inf, 0.0, -0.0, 0.5, 1.5, 2.5, -0.5, 126.5, 127.5, 300, -1e9], np.float32)
SCALE, SCALES = np.array(0.125, np.float32), np.array([[0.5], [0.25], [3.0]], np.float32)


def limits(dtype: DType) -> tuple[int, int]:
    """The least and the largest value of an integer type."""
    low = 0 if dtype.is_unsigned else -(1 << (dtype.width - 1))
    return low, low + (1 << dtype.width) - 1


class Quantize(Elementwise):
    """x / scale rounded to even, plus the zero point, saturated to the zero point's type (16 bits at most).

    Inputs: x and scale of one float type, and the zero point, which broadcast. What NaN gives is not defined.
    """

    name: ClassVar[str] = "Quantize"
    cases: ClassVar[Sequence[Case]] = (
        Case(((F32, (3, 7)), SCALE, np.array(0, np.int8)), label="i8", low=-20, high=20),
        Case(
            ((F32, (3, 7)), SCALES, np.array([[0], [128], [255]], np.uint8)), label="axis", low=-90, high=90
        ),
        Case(((F32, (5,)), SCALE, np.array(-7, np.int16)), label="i16", low=-5000, high=5000),
        Case((SPECIAL, np.array(1, np.float32), np.array(0, np.int8)), label="special"),
        Case(
            ((F32, (4, 3)), SCALE, np.array(100, np.uint8)),
            label="dynamic",
            symbols={(0, 0): "batch"},
            low=-20,
            high=20,
        ),
    )

    def build(self, args: Sequence[Scalar], attrs: Mapping[str, Any]) -> Scalar:
        """One element; a division by one is left out."""
        x, scale, zero = args
        require_float(x)
        dtype = zero.dtype
        if not dtype.is_integer or dtype.bits > 16:
            raise TypeError(f"quantises to 16 bits at most, not to {dtype!r}")
        if x.dtype is F16:
            x, scale = cast(x, F32), cast(scale, F32)
        whole = isinstance(scale, Const) and scale.value == 1
        levels = call("round", x if whole else call("div", x, scale))
        if not (isinstance(zero, Const) and zero.value == 0):
            levels = call("add", levels, cast(zero, levels.dtype))
        low, high = limits(dtype)
        return cast(call("min", call("max", levels, const(levels, low)), const(levels, high)), dtype)


class Dequantize(Elementwise):
    """(x - zero point) * scale.

    Inputs: x, an integer; scale, a float, whose type is the result's; and, optionally, the zero point, of x's
    type. All broadcast.
    """

    name: ClassVar[str] = "Dequantize"
    cases: ClassVar[Sequence[Case]] = (
        Case(((I8, (3, 7)), SCALE), label="i8", low=-128, high=127),
        Case(((U8, (3, 7)), SCALES, np.array([[0], [128], [255]], np.uint8)), label="axis", high=255),
        Case(((I32, (9,)), SCALE), label="i32", low=-(10**6), high=10**6),
        Case(
            ((U8, (4, 3)), SCALE, np.array(100, np.uint8)),
            label="dynamic",
            symbols={(0, 0): "batch"},
            high=255,
        ),
    )

    def build(self, args: Sequence[Scalar], attrs: Mapping[str, Any]) -> Scalar:
        """One element."""
        x, scale, *rest = args
        require_float(scale)
        if not x.dtype.is_integer:
            raise TypeError(f"dequantises integers, not {x.dtype!r}")
        for zero in rest:
            if zero.dtype is not x.dtype:
                raise TypeError(f"{x.dtype!r} has a zero point of {zero.dtype!r}")
            if not (isinstance(zero, Const) and zero.value == 0):
                wide = I32 if x.dtype.bits <= 16 else x.dtype
                x = call("sub", cast(x, wide), cast(zero, wide))
        if scale.dtype is F16:
            return cast(call("mul", cast(x, F32), cast(scale, F32)), F16)
        return call("mul", cast(x, scale.dtype), scale)

    def folds(self, inputs: Sequence[Value | None]) -> bool:
        """Not weights: they are to stay as small as they are until a pass knows who reads them."""
        x = inputs[0]
        return x is None or x.rank < 2 or x.dtype.bits > 16
