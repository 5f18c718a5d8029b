"""Products of integers less their zero points, spelled out over MatMul and Conv of short integers.

The sum of (x - zx)(w - zw) is that of x w, less zw times the sum of x, less zx times the sum of w, plus zx zw
for each term: sums of weights are constants, and a zero point of nought costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pyruntime.ir.dims import Dim
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ops.builder import Builder

ACTIVATIONS = (DType.I8, DType.U8, DType.I16)  # dtypes of a product's left operand
WEIGHTS = (DType.I8, DType.U8)


def is_zero(value: Value | None) -> bool:
    """Whether a zero point is absent, or nought everywhere."""
    return value is None or (value.data is not None and not value.data.any())


def centred(builder: Builder, x: Value, zero: Value | None) -> tuple[Value, Value | None]:
    """A uint8 constant in int8: less its zero point where that fits, else with another. Others stay."""
    if x.data is None or x.dtype is not DType.U8 or (zero is not None and zero.data is None):
        return x, zero
    shift: Any = 0 if zero is None or zero.data is None else zero.data.astype(np.int32)
    moved = x.data.astype(np.int32) - shift
    if moved.size and moved.min() >= -128 and moved.max() <= 127:
        return builder.constant(moved, DType.I8, x.name), None
    return (
        builder.constant(x.data.astype(np.int32) - 128, DType.I8, x.name),
        builder.constant(shift - np.int32(128), DType.I32),
    )


def product(builder: Builder, a: Value, b: Value, zero_a: Value | None, zero_b: Value | None) -> Value:
    """(a - zero_a) @ (b - zero_b) in int32, exact modulo 2^32.

    Args:
        builder: where the nodes go.
        a: [..., m, k], int8, uint8 or int16.
        b: [..., k, n], int8 or uint8.
        zero_a: its zero point, a scalar or [..., m, 1]; None for nought.
        zero_b: its zero point, a scalar or [..., 1, n] or [n]; None for nought.
    """
    b, zero_b = centred(builder, b, zero_b)
    result = builder.one("MatMul", a, b)
    if is_zero(zero_a) and is_zero(zero_b):
        return result
    if not is_zero(zero_a):
        columns = _sum(builder, b, (b.rank - 2,))
        result = builder.one("Sub", result, builder.one("Mul", wide(builder, zero_a), columns))
    if not is_zero(zero_b):
        rows = _sum(builder, a, (a.rank - 1,))
        if not is_zero(zero_a):
            terms = builder.dims(a.shape[-1], DType.I32)
            rows = builder.one("Sub", rows, builder.one("Mul", wide(builder, zero_a), terms))
        result = builder.one("Sub", result, builder.one("Mul", rows, wide(builder, zero_b)))
    return result


def convolution(
    builder: Builder, x: Value, w: Value, zero_x: Value | None, zero_w: Value | None, attrs: Mapping[str, Any]
) -> Value:
    """A convolution of x - zero_x, padded with zeros, and w - zero_w in int32, exact modulo 2^32.

    Args:
        builder: where the nodes go.
        x: [n, c, spatial...], int8, uint8 or, where its zero point is a constant, int16.
        w: [oc, c / group, kernel...], of fixed shape, int8 or uint8.
        zero_x: its zero point, a scalar; None for nought.
        zero_w: its zero point, a scalar or [oc, 1, ...]; None for nought.
        attrs: of Conv, without `pad_value`.
    """
    w, zero_w = centred(builder, w, zero_w)
    padded = any(not isinstance(p, int) or p for p in attrs["pads"])
    if padded and zero_x is not None and zero_x.data is None:
        moved = builder.one("Sub", _cast(builder, x, DType.I16), _cast(builder, zero_x, DType.I16))
        x, zero_x = moved, None
    known = 0 if zero_x is None or zero_x.data is None else int(zero_x.data.reshape(-1)[0])
    geometry = {**attrs, "pad_value": known if padded else 0}
    result = builder.one("Conv", x, w, **geometry)
    channel = (w.shape[0], *(1 for _ in range(w.rank - 2)))
    inner = tuple(range(1, w.rank))
    if not is_zero(zero_x):
        sums = builder.one("Reshape", _sum(builder, w, inner), shape=channel)
        result = builder.one("Sub", result, builder.one("Mul", wide(builder, zero_x), sums))
    if not is_zero(zero_w):
        # the sum of each window, by a filter of ones for each group
        group = attrs["group"]
        ones = builder.constant(np.ones((group, *(int(str(d)) for d in w.shape[1:])), np.int8))
        windows = builder.one("Conv", x, ones, **geometry)
        if not is_zero(zero_x):
            terms_value = builder.constant(math.prod(int(str(d)) for d in w.shape[1:]), DType.I32)
            windows = builder.one("Sub", windows, builder.one("Mul", wide(builder, zero_x), terms_value))
        windows = _per_output(builder, windows, group, w.shape[0])
        zeros = wide(builder, zero_w)
        zeros = zeros if zeros.elements == 1 else builder.one("Reshape", zeros, shape=channel)
        result = builder.one("Sub", result, builder.one("Mul", windows, zeros))
    return result


def _per_output(builder: Builder, windows: Value, group: int, outputs: Dim) -> Value:
    """[n, group, ...] for each output channel of its group; one group broadcasts."""
    each = int(str(outputs)) // group
    if group == 1 or each == 1:
        return windows
    n, _, *plane = windows.shape
    apart = builder.one("Reshape", windows, shape=(n, group, 1, *plane))
    spread = builder.one("Expand", apart, shape=(n, group, each, *plane))
    return builder.one("Reshape", spread, shape=(n, outputs, *plane))


def wide(builder: Builder, value: Value | None) -> Value:
    """A zero point in int32."""
    assert value is not None
    scalar = value if value.rank == 0 or value.elements != 1 else builder.one("Reshape", value, shape=())
    return _cast(builder, scalar, DType.I32)


def _sum(builder: Builder, x: Value, axes: tuple[int, ...]) -> Value:
    if x.data is not None:  # of any size, while the builder folds small ones
        return builder.constant(x.data.sum(axes, np.int32, keepdims=True))
    return builder.one("ReduceSum", _cast(builder, x, DType.I32), axes=axes, keepdims=True)


def _cast(builder: Builder, x: Value, dtype: DType) -> Value:
    return x if x.dtype is dtype else builder.one("Cast", x, to=dtype)
