"""Convolution over one to three spatial axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dims import Dim
from pyruntime.ir.dtypes import DType, product_dtype, sums_exactly
from pyruntime.ir.graph import Value
from pyruntime.ops.definition import REQUIRED, Case, OpDef, TensorType, bind, operands, require
from pyruntime.ops.windows import Windows

Array = NDArray[Any]

F16, F32 = DType.F16, DType.F32
I8, U8, I16 = DType.I8, DType.U8, DType.I16
BATCH = {(0, 0): "batch"}


def geometry(
    rank: int,
    strides: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    pads: Sequence[Dim] | None = None,
    group: int = 1,
) -> dict[str, Any]:
    """A convolution's attributes, with the usual defaults for `rank` spatial axes."""
    return {
        "strides": tuple(strides or [1] * rank),
        "dilations": tuple(dilations or [1] * rank),
        "pads": tuple(pads or [0] * 2 * rank),
        "group": group,
    }


class Conv(OpDef):
    """Cross-correlation, plus a bias for each output channel.

    Inputs: x [n, c, spatial...], w [oc, c / group, kernel...] and, optionally, a bias [oc]. All have one
    dtype, a float, which is the result's; or x is int8, uint8 or int16, w int8 or uint8, and there is no
    bias: then the result is int32, the exact sum modulo 2^32.

    Attributes:
        strides, dilations: for each spatial axis.
        pads: elements before each axis, then after each (dims).
        pad_value: what these are, of x's dtype: for integers its zero point; 0 for floats.
        group: input channel block g feeds output channel block g.
    """

    name = "Conv"
    attrs: ClassVar = {
        "strides": REQUIRED,
        "dilations": REQUIRED,
        "pads": REQUIRED,
        "group": 1,
        "pad_value": 0,
    }
    cases = (
        Case(((F32, (1, 3, 9, 11)), (F32, (8, 3, 3, 3)), (F32, (8,))), geometry(2, pads=(1, 1, 1, 1)), "3x3"),
        Case(((F32, (2, 5, 7, 6)), (F32, (7, 5, 1, 1)), None), geometry(2), "1x1"),
        Case(
            ((F32, (1, 3, 11, 13)), (F32, (10, 3, 5, 3)), (F32, (10,))),
            geometry(2, (2, 3), pads=(2, 0, 1, 1)),
            "strides",
        ),
        Case(
            ((F32, (1, 2, 11, 9)), (F32, (3, 2, 3, 2)), None),
            geometry(2, dilations=(2, 3), pads=(2, 1, 2, 2)),
            "dilations",
        ),
        Case(
            ((F32, (2, 9, 7, 5)), (F32, (9, 1, 3, 3)), (F32, (9,))),
            geometry(2, pads=(1, 1, 1, 1), group=9),
            "depthwise",
        ),
        Case(
            ((F32, (1, 8, 9, 9)), (F32, (8, 1, 3, 3)), None),
            geometry(2, (2, 2), pads=(0, 0, 1, 1), group=8),
            "depthwise-strides",
        ),
        Case(((F32, (1, 4, 5, 5)), (F32, (8, 1, 3, 3)), None), geometry(2, group=4), "depth-multiplier"),
        Case(((F32, (1, 6, 5, 7)), (F32, (10, 3, 3, 3)), (F32, (10,))), geometry(2, group=2), "groups"),
        Case(((F32, (2, 3, 17)), (F32, (5, 3, 4)), (F32, (5,))), geometry(1, (2,), pads=(1, 2)), "1d"),
        Case(
            ((F32, (1, 2, 4, 5, 6)), (F32, (3, 2, 2, 3, 2)), (F32, (3,))),
            geometry(3, (1, 2, 1), pads=(1, 0, 0, 0, 1, 1)),
            "3d",
        ),
        Case(((F32, (1, 3, 8, 8)), (F32, (4, 3, 2, 2)), None), geometry(2, (2, 2)), "patches"),
        Case(
            ((F32, (2, 3, 6, 5)), (F32, (4, 3, 3, 3)), (F32, (4,))),
            geometry(2, pads=(1, 1, 1, 1)),
            "dynamic",
            BATCH,
        ),
        Case(
            ((F32, (1, 3, 9, 11)), (F32, (4, 3, 3, 3)), None),
            geometry(2, (2, 2), pads=(1, 1, 1, 1)),
            "dynamic-size",
            {(0, 2): "height", (0, 3): "width"},
        ),
        Case(((F16, (1, 3, 5, 5)), (F16, (4, 3, 3, 3)), (F16, (4,))), geometry(2), "f16"),
        Case(
            ((I8, (1, 3, 6, 7)), (I8, (9, 3, 3, 3)), None),
            geometry(2, pads=(1, 1, 1, 1)),
            "i8",
            low=-128,
            high=127,
        ),
        Case(
            ((U8, (2, 5, 7, 9)), (I8, (10, 5, 3, 2)), None),
            {**geometry(2, (2, 1), pads=(1, 0, 1, 1)), "pad_value": 117},
            "u8-zero-point",
            low=-128,
            high=127,
        ),
        Case(((U8, (1, 6, 5, 4)), (U8, (8, 6, 1, 1)), None), geometry(2), "u8-1x1", high=255),
        Case(
            ((I8, (1, 6, 9, 8)), (I8, (6, 1, 3, 3)), None),
            {**geometry(2, (2, 2), pads=(1, 1, 1, 1), group=6), "pad_value": -5},
            "i8-depthwise",
            low=-128,
            high=127,
        ),
        Case(
            ((I16, (1, 6, 11)), (I8, (4, 3, 3)), None),
            geometry(1, pads=(1, 1), group=2),
            "i16-groups",
            BATCH,
            low=-128,
            high=127,
        ),
        Case(
            ((F32, (2, 4, 7, 5, 6)), (F32, (6, 2, 3, 2, 3)), (F32, (6,))),
            geometry(3, (2, 1, 2), (2, 1, 1), (2, 0, 1, 1, 1, 0), group=2),
            "3d-groups",
            {(0, 0): "batch", (0, 2): "depth"},
        ),
        Case(
            ((F32, (1, 5, 4, 6, 7)), (F32, (5, 1, 3, 3, 3)), None),
            geometry(3, pads=(1, 1, 1, 1, 1, 1), group=5),
            "3d-depthwise",
        ),
        Case(((F16, (1, 3, 4, 5, 5)), (F16, (4, 3, 3, 2, 2)), (F16, (4,))), geometry(3), "3d-f16"),
        Case(
            ((U8, (1, 3, 4, 5, 6)), (I8, (9, 3, 2, 3, 3)), None),
            {**geometry(3, pads=(1, 1, 0, 1, 1, 1)), "pad_value": 131},
            "3d-u8",
            low=-128,
            high=127,
        ),
    )

    def infer(self, inputs: Sequence[Value | None], attrs: Mapping[str, Any]) -> list[TensorType]:
        x, w, bias = operands(inputs, 2, 3)
        assert x is not None
        assert w is not None
        exact = sums_exactly(x.dtype, w.dtype)
        require((x.dtype.is_float and x.dtype is w.dtype) or exact, f"convolves {x.dtype!r} with {w.dtype!r}")
        require(3 <= x.rank == w.rank <= 5, f"convolves rank {x.rank} with rank {w.rank}")
        require(all(isinstance(d, int) for d in w.shape), f"the filter's shape {w.shape} is not fixed")
        oc, channels, group = w.shape[0], w.shape[1], attrs["group"]
        require(
            isinstance(oc, int) and oc % group == 0 and x.shape[1] == channels * group,
            f"{x.shape[1]} channels in {group} groups do not fit a filter of {w.shape}",
        )
        require(bias is None or not exact, f"adds no bias to products of {x.dtype!r} and {w.dtype!r}")
        require(
            bias is None or (bias.dtype is x.dtype and bias.shape == (oc,)), f"a bias is {x.dtype!r}[{oc}]"
        )
        value = attrs["pad_value"]
        require(value == 0 or (exact and _holds(x.dtype, value)), f"{x.dtype!r} is not padded with {value}")
        windows = windows_of(w.shape, attrs)
        windows.check()
        shape = (x.shape[0], oc, *windows.output_sizes(x.shape[2:]))
        return [TensorType(product_dtype(x.dtype, w.dtype), shape)]

    def reference(self, inputs: Sequence[Array | None], attrs: Mapping[str, Any]) -> list[Array]:
        x, w, *rest = inputs
        assert x is not None
        assert w is not None
        windows, group, oc = windows_of(w.shape, attrs), attrs["group"], w.shape[0]
        out = bind(windows.output_sizes(x.shape[2:]), {})
        dtype = product_dtype(DType(x.dtype.name), DType(w.dtype.name)).value
        wide = np.float64 if x.dtype.kind == "f" else np.int64
        # the product of each group's channels, for all positions at once, summed over the taps
        result = np.zeros((x.shape[0], group, oc // group, *out), wide)
        weight = w.astype(wide).reshape(group, oc // group, *w.shape[1:])
        for tap, met in windows.taps(x.astype(wide), out, attrs["pad_value"]):
            blocks = met.reshape(x.shape[0], group, weight.shape[2], *out)
            result += np.einsum("ngc...,goc->ngo...", blocks, weight[(slice(None),) * 3 + tap])
        result = result.reshape(x.shape[0], oc, *out)
        for bias in [b for b in rest if b is not None]:
            result = result + bias.reshape(-1, *[1] * len(out))
        return [result.astype(dtype)]


def _holds(dtype: DType, value: int) -> bool:
    low = 0 if dtype.is_unsigned else -(1 << (dtype.bits - 1))
    return low <= value < low + (1 << dtype.bits)


def windows_of(filter_shape: Sequence[Dim], attrs: Mapping[str, Any]) -> Windows:
    """The windows of a convolution with a filter [oc, c, kernel...] of fixed shape."""
    kernel = tuple(d for d in filter_shape[2:] if isinstance(d, int))
    return Windows(kernel, attrs["strides"], attrs["dilations"], attrs["pads"])
