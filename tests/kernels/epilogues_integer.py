"""What follows sums of short integers in kernels: scales, requantisation, and what no float should be."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pyruntime.ir.dims import Dim
from pyruntime.ir.dtypes import DType
from pyruntime.ir.scalar import Acc, Call, Const, Load, Scalar, call, cast
from pyruntime.ir.views import View
from pyruntime.ops.quantization import limits
from tests.kernels.case import Maker

I8, U8, I32, F32 = DType.I8, DType.U8, DType.I32, DType.F32
# gives the body, its operands and the output's dtype, for a space of these sizes
Build = Callable[[Maker, Sequence[Dim]], tuple[Scalar, tuple[View, ...], DType]]


def _float(tree: Scalar) -> Scalar:
    return cast(tree, F32)


def _along(maker: Maker, sizes: Sequence[Dim], axis: int, dtype: DType = F32) -> View:
    strides = tuple(1 if a == axis % len(sizes) else 0 for a in range(len(sizes)))
    return View(maker.tensor(sizes[axis], dtype), 0, strides)


def dequantised(maker: Maker, sizes: Sequence[Dim]) -> tuple[Scalar, tuple[View, ...], DType]:
    """relu(float(acc) * scale[column] + bias[column]) * row scale."""
    body = call("add", call("mul", _float(Acc(I32)), Load(F32, 0)), Load(F32, 1))
    body = call("mul", call("max", body, Const(F32, 0.0)), Load(F32, 2))
    return body, (_along(maker, sizes, -1), _along(maker, sizes, -1), _along(maker, sizes, -2)), F32


def requantised(maker: Maker, sizes: Sequence[Dim]) -> tuple[Scalar, tuple[View, ...], DType]:
    """int8(round(float(acc - offset[column]) * scale) + zero point), saturated."""
    shifted = call("sub", Acc(I32), Load(I32, 0))
    rounded = call("round", call("mul", _float(shifted), Const(F32, 0.01)))
    body = cast(
        call(
            "min", call("max", call("add", rounded, Const(F32, 3.0)), Const(F32, -128.0)), Const(F32, 127.0)
        ),
        I8,
    )
    return body, (_along(maker, sizes, -1, I32),), I8


def requantised_unsigned(maker: Maker, sizes: Sequence[Dim]) -> tuple[Scalar, tuple[View, ...], DType]:
    """uint8(round(float(acc) * scale[column])): the cast saturates."""
    body = cast(call("round", call("mul", _float(Acc(I32)), Load(F32, 0))), U8)
    return body, (_along(maker, sizes, -1),), U8


def extremes(maker: Maker, sizes: Sequence[Dim]) -> tuple[Scalar, tuple[View, ...], DType]:
    """int8(float(acc) * scale[column]), where scales are huge, infinite or NaN."""
    scale = _along(maker, sizes, -1)
    values = maker.inputs[scale.tensor]
    values[:] = np.resize([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e7, 5e6, -1e9, 0.0, 0.3], len(values))
    return cast(call("mul", _float(Acc(I32)), Load(F32, 0)), I8), (scale,), I8


def extremes_unsigned(maker: Maker, sizes: Sequence[Dim]) -> tuple[Scalar, tuple[View, ...], DType]:
    """The same as uint8."""
    body, inputs, _ = extremes(maker, sizes)
    assert isinstance(body, Call)
    return cast(body.args[0], U8), inputs, U8


def levels(maker: Maker, sizes: Sequence[Dim]) -> tuple[Scalar, tuple[View, ...], DType]:
    """Quantize of float(acc) * scale[column] to uint8, where scales are huge or make halves."""
    return _quantize(Const(F32, 0.0), U8), (_scales(maker, sizes),), U8


def moved_levels(maker: Maker, sizes: Sequence[Dim]) -> tuple[Scalar, tuple[View, ...], DType]:
    """The same to int8 with a zero point."""
    return _quantize(Const(F32, -7.0), I8), (_scales(maker, sizes),), I8


def loaded_levels(maker: Maker, sizes: Sequence[Dim]) -> tuple[Scalar, tuple[View, ...], DType]:
    """The same with a zero point that is an operand."""
    zero = maker.tensor(1)
    maker.inputs[zero][:] = 5
    scale = _scales(maker, sizes)
    return _quantize(Load(F32, 1), I8), (scale, View(zero, 0, (0,) * len(sizes))), I8


def whole_levels(maker: Maker, sizes: Sequence[Dim]) -> tuple[Scalar, tuple[View, ...], DType]:
    """Quantize of float(acc) * scale[row] to uint8 with a loaded zero point that is told to be whole."""
    zero = maker.tensor(1)
    maker.inputs[zero][:] = 131
    body = _quantize(_float(cast(Load(F32, 1), I32)), U8)
    return body, (_scales(maker, sizes, -2), View(zero, 0, (0,) * len(sizes))), U8


def _scales(maker: Maker, sizes: Sequence[Dim], axis: int = -1) -> View:
    scale = _along(maker, sizes, axis)
    values = maker.inputs[scale.tensor]
    values[:] = np.resize([3e38, -3e38, 1e7, -5e6, 0.5, -0.25, 0.0, 0.01], len(values))
    return scale


def _quantize(zero: Scalar, dtype: DType) -> Scalar:
    low, high = limits(dtype)
    rounded = call("round", call("mul", _float(Acc(I32)), Load(F32, 0)))
    moved = rounded if zero == Const(F32, 0.0) else call("add", rounded, zero)
    return cast(call("min", call("max", moved, Const(F32, float(low))), Const(F32, float(high))), dtype)


def added(maker: Maker, sizes: Sequence[Dim]) -> tuple[Scalar, tuple[View, ...], DType]:
    """uint8(acc mod 256) + 200, which wraps."""
    return call("add", cast(Acc(I32), U8), Const(U8, 200)), (), U8


def plain(maker: Maker, sizes: Sequence[Dim]) -> tuple[Scalar, tuple[View, ...], DType]:
    """The sum itself."""
    return Acc(I32), (), I32


EPILOGUES = (
    plain,
    dequantised,
    requantised,
    requantised_unsigned,
    extremes,
    extremes_unsigned,
    levels,
    moved_levels,
    loaded_levels,
    whole_levels,
    added,
)
