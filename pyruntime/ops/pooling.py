"""Max and average pooling over one to three spatial axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ops.definition import REQUIRED, Case, OpDef, TensorType, bind, present, require
from pyruntime.ops.windows import Windows

Array = NDArray[Any]
Attrs = Mapping[str, Any]

F16, F32, I8, U8 = DType.F16, DType.F32, DType.I8, DType.U8


def pool(
    kernel: Sequence[int],
    strides: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    **others: bool,
) -> dict[str, Any]:
    """A pool's attributes, with the usual defaults."""
    return {
        "kernel": tuple(kernel),
        "strides": tuple(strides or [1] * len(kernel)),
        "dilations": tuple(dilations or [1] * len(kernel)),
        "pads": tuple(pads or [0] * 2 * len(kernel)),
        **others,
    }


BOTH = (
    Case(((F32, (1, 3, 8, 10)),), pool((2, 2), (2, 2)), "halve"),
    Case(((F32, (2, 5, 7, 9)),), pool((3, 2), (2, 3), pads=(1, 0, 1, 1)), "strides"),
    Case(((F32, (1, 2, 7, 7)),), pool((3, 3), (2, 2), ceil_mode=True), "ceil"),
    Case(((F32, (1, 2, 7, 8)),), pool((3, 3), (2, 2), pads=(1, 1, 1, 1), ceil_mode=True), "ceil-pads"),
    Case(((F32, (1, 2, 9, 8)),), pool((2, 3), dilations=(3, 2)), "dilations"),
    Case(((F32, (2, 3, 11)),), pool((3,), (2,), pads=(1, 1)), "1d"),
    Case(((F32, (1, 2, 4, 5, 6)),), pool((2, 2, 3), (2, 1, 2)), "3d"),
    Case(((F32, (3, 4, 5, 7)),), pool((5, 7)), "global"),
    Case(((F32, (3, 2, 5, 5)),), pool((3, 3), pads=(1, 1, 1, 1)), "dynamic", {(0, 0): "batch"}),
    Case(((F32, (1, 2, 9, 7)),), pool((3, 3), (2, 2)), "dynamic-size", {(0, 2): "height", (0, 3): "width"}),
    Case(((F16, (1, 3, 5, 5)),), pool((2, 2)), "f16"),
)


class _Pool(OpDef):
    """One value for each window and channel of x [n, c, spatial...].

    Attributes:
        kernel, strides, dilations: for each spatial axis.
        pads: padding before each axis, then after each (dims).
        ceil_mode: whether a last window may reach past the padding after. It begins inside the input or the
            padding before.
    """

    attrs: ClassVar[Mapping[str, Any]] = {
        "kernel": REQUIRED,
        "strides": REQUIRED,
        "dilations": REQUIRED,
        "pads": REQUIRED,
        "ceil_mode": False,
    }

    def accepts(self, dtype: DType) -> bool:
        """Whether the pool takes elements of dtype."""
        return dtype.is_float

    def infer(self, inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorType]:
        (x,) = present(inputs, 1)
        require(self.accepts(x.dtype), f"does not pool {x.dtype!r}")
        windows = windows_of(attrs)
        windows.check()
        require(
            x.rank == len(windows.kernel) + 2 <= 5, f"a window of {windows.kernel} does not fit {x.shape}"
        )
        return [TensorType(x.dtype, (*x.shape[:2], *windows.output_sizes(x.shape[2:], attrs["ceil_mode"])))]


def windows_of(attrs: Attrs) -> Windows:
    """The windows of a pool."""
    return Windows(attrs["kernel"], attrs["strides"], attrs["dilations"], attrs["pads"])


class MaxPool(_Pool):
    """The largest element of each window; padding does not count, NaN does."""

    name = "MaxPool"
    cases = (
        *BOTH,
        Case(((U8, (1, 2, 5, 5)),), pool((2, 3), (2, 1)), "u8", high=255),
        Case((np.full((1, 1, 3, 3), -np.inf, np.float32),), pool((2, 2), pads=(1, 1, 1, 1)), "infinite"),
        Case(((I8, (2, 3, 5, 6, 4)),), pool((3, 2, 2), (2, 2, 1), (1, 2, 1), (1, 0, 0, 1, 1, 1)), "3d-i8"),
    )

    def accepts(self, dtype: DType) -> bool:
        return dtype.is_float or dtype in (DType.U8, DType.I8)

    def reference(self, inputs: Sequence[Array | None], attrs: Attrs) -> list[Array]:
        (x,) = inputs
        assert x is not None
        windows = windows_of(attrs)
        out = bind(windows.output_sizes(x.shape[2:], attrs["ceil_mode"]), {})
        least = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        result = np.full((*x.shape[:2], *out), least, x.dtype)
        for _, met in windows.taps(x, out, least):
            result = np.maximum(result, met)
        return [result]


class AveragePool(_Pool):
    """The mean of each window's elements; 0 where it meets none, as ONNX Runtime and PyTorch have it.

    Attributes:
        count_include_pad: whether padding counts, as zeros; what lies past it (ceil_mode) never does.
    """

    name = "AveragePool"
    attrs: ClassVar = {**_Pool.attrs, "count_include_pad": False}
    cases = (
        *BOTH,
        Case(
            ((F32, (1, 2, 5, 7)),), pool((3, 3), (2, 2), pads=(1, 1, 1, 1), count_include_pad=True), "include"
        ),
        Case(
            ((F32, (1, 2, 8, 8)),),
            pool((3, 3), (2, 2), pads=(1, 1, 1, 1), count_include_pad=True, ceil_mode=True),
            "include-ceil",
        ),
        Case(
            ((F32, (2, 3, 6, 5, 7)),),
            pool((3, 2, 3), (2, 1, 2), pads=(1, 0, 1, 1, 1, 1), count_include_pad=True, ceil_mode=True),
            "3d-include-ceil",
            {(0, 2): "depth"},
        ),
        # taps on both sides of the only row, and none on it
        Case(((F32, (1, 5, 1, 4)),), pool((2, 3), dilations=(2, 1), pads=(1, 1, 1, 1)), "of-nothing"),
    )

    def reference(self, inputs: Sequence[Array | None], attrs: Attrs) -> list[Array]:
        (x,) = inputs
        assert x is not None
        windows = windows_of(attrs)
        out = bind(windows.output_sizes(x.shape[2:], attrs["ceil_mode"]), {})
        wide = x.astype(np.float64)
        counted = np.ones((1, 1, *x.shape[2:]))
        if attrs["count_include_pad"]:
            # the padded input is an input of its own
            before, after = bind(windows.before, {}), bind(windows.after, {})
            margins = [(0, 0), (0, 0), *zip(before, after, strict=True)]
            wide, counted = np.pad(wide, margins), np.pad(counted, margins, constant_values=1)
            windows = Windows(windows.kernel, windows.strides, windows.dilations, (0,) * len(windows.pads))
        total, count = (np.add.reduce([met for _, met in windows.taps(a, out, 0)]) for a in (wide, counted))
        return [np.asarray(total / np.maximum(count, 1)).astype(x.dtype)]
