"""Softmax and the normalisations; all reduce, and then compute each element."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ops.definition import (
    REQUIRED,
    Case,
    OpDef,
    TensorType,
    broadcast,
    normal_axis,
    operands,
    present,
    require,
)

Array = NDArray[Any]
Attrs = Mapping[str, Any]
Inputs = Sequence[Value | None]
Arrays = Sequence[Array | None]

F16, F32 = DType.F16, DType.F32
BATCH = {(0, 0): "batch"}


def _same_float(values: Sequence[Value | None]) -> Value:
    first = values[0]
    assert first is not None
    require(first.dtype.is_float, f"takes floats, not {first.dtype!r}")
    dtypes = {v.dtype for v in values if v is not None}
    require(len(dtypes) == 1, f"takes one dtype, not {', '.join(sorted(d.value for d in dtypes))}")
    return first


def _wide(inputs: Arrays) -> list[Array]:
    return [a.astype(np.float64) for a in inputs if a is not None]


def _dtype(inputs: Arrays) -> np.dtype[Any]:
    assert inputs[0] is not None
    return inputs[0].dtype


def _standardised(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    mean = x.mean(axis=axes, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=axes, keepdims=True)
    return np.asarray((x - mean) / np.sqrt(variance + epsilon))


class _Softmax(OpDef):
    """Attributes:
    axis: the axis that is normalised, at least 0.
    """

    attrs: ClassVar = {"axis": REQUIRED}
    cases = (
        Case(((F32, (3, 7)),), {"axis": 1}, "last"),
        Case(((F32, (2, 5, 3)),), {"axis": 1}, "middle"),
        Case(((F32, (5, 3)),), {"axis": 0}, "first"),
        Case(((F32, (3, 131)),), {"axis": 1}, "long"),
        Case(((F32, (2, 5)),), {"axis": 1}, "large", low=80, high=200),
        Case(((F32, (4, 2, 11)),), {"axis": 2}, "dynamic", BATCH),
        Case(((F32, (3, 5)),), {"axis": 1}, "dynamic-axis", {(0, 1): "length"}),
        Case(((F32, (0, 3)),), {"axis": 1}, "empty"),
        Case(((F16, (3, 5)),), {"axis": 1}, "f16"),
    )

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        x = _same_float(present(inputs, 1))
        normal_axis(attrs["axis"], x.rank)
        return [TensorType(x.dtype, x.shape)]


def _shifted(x: Array, axis: int) -> Array:
    return np.asarray(x - x.max(axis=axis, keepdims=True, initial=-np.inf))


class Softmax(_Softmax):
    """exp(x) over its sum along an axis."""

    name = "Softmax"

    def reference(self, inputs: Arrays, attrs: Attrs) -> list[Array]:
        (x,) = _wide(inputs)
        e = np.exp(_shifted(x, attrs["axis"]))
        return [(e / e.sum(axis=attrs["axis"], keepdims=True)).astype(_dtype(inputs))]


class LogSoftmax(_Softmax):
    """The logarithm of softmax."""

    name = "LogSoftmax"

    def reference(self, inputs: Arrays, attrs: Attrs) -> list[Array]:
        (x,) = _wide(inputs)
        shifted = _shifted(x, attrs["axis"])
        total = np.log(np.exp(shifted).sum(axis=attrs["axis"], keepdims=True))
        return [(shifted - total).astype(_dtype(inputs))]


class LayerNormalization(OpDef):
    """x standardised over the axes from `axis` on, times scale, plus bias.

    Inputs: x; scale and, optionally, bias, which broadcast to x's shape from `axis` on.

    Attributes:
        axis: the first normalised axis, at least 0.
        epsilon: added to the variance.
    """

    name = "LayerNormalization"
    attrs: ClassVar = {"axis": REQUIRED, "epsilon": 1e-5}
    cases = (
        Case(((F32, (3, 7)), (F32, (7,)), (F32, (7,))), {"axis": 1}, "last"),
        Case(((F32, (2, 3, 5)), (F32, (3, 5)), (F32, (3, 5))), {"axis": 1, "epsilon": 1e-2}, "two"),
        Case(((F32, (3, 7)), (F32, (7,)), None), {"axis": 1}, "no-bias"),
        Case(((F32, (3, 5, 64)), (F32, (64,)), (F32, (64,))), {"axis": 2}, "dynamic", BATCH),
        Case(((F16, (3, 8)), (F16, (8,)), (F16, (8,))), {"axis": 1}, "f16"),
        Case(((F16, (3, 64)), (F16, (64,)), (F16, (64,))), {"axis": 1}, "f16-large", low=-4000, high=4000),
    )

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        values = operands(inputs, 2, 3)
        x = _same_float(values)
        normalised = x.shape[normal_axis(attrs["axis"], x.rank) :]
        for value in values[1:]:
            fits = value is None or broadcast([value.shape, normalised]) == normalised
            require(fits, f"scale and bias do not fit {normalised}")
        return [TensorType(x.dtype, x.shape)]

    def reference(self, inputs: Arrays, attrs: Attrs) -> list[Array]:
        x, scale, *bias = _wide(inputs)
        result = _standardised(x, tuple(range(attrs["axis"], x.ndim)), attrs["epsilon"]) * scale
        return [(result + (bias[0] if bias else 0)).astype(_dtype(inputs))]


class RMSNormalization(OpDef):
    """x over the root of the mean of its squares over the axes from `axis` on, times scale.

    Inputs: x; scale, which broadcasts to x's shape from `axis` on. (Zhang and Sennrich, "Root Mean Square
    Layer Normalization", 2019.)

    Attributes:
        axis: the first normalised axis, at least 0.
        epsilon: added to the mean of squares.
    """

    name = "RMSNormalization"
    attrs: ClassVar = {"axis": REQUIRED, "epsilon": 1e-5}
    cases = (
        Case(((F32, (3, 7)), (F32, (7,))), {"axis": 1}, "last"),
        Case(((F32, (2, 3, 5)), (F32, (3, 5))), {"axis": 1, "epsilon": 1e-2}, "two"),
        Case(((F32, (2, 3, 5)), (F32, ())), {"axis": 2}, "scalar"),
        Case((np.zeros((2, 5), np.float32), (F32, (5,))), {"axis": 1}, "zeros"),
        Case(((F32, (3, 5, 64)), (F32, (64,))), {"axis": 2}, "dynamic", BATCH),
        Case(((F16, (3, 8)), (F16, (8,))), {"axis": 1}, "f16"),
        Case(((F16, (3, 64)), (F16, (64,))), {"axis": 1}, "f16-large", low=-4000, high=4000),
    )

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        x, scale = present(inputs, 2)
        _same_float([x, scale])
        normalised = x.shape[normal_axis(attrs["axis"], x.rank) :]
        require(broadcast([scale.shape, normalised]) == normalised, f"scale does not fit {normalised}")
        return [TensorType(x.dtype, x.shape)]

    def reference(self, inputs: Arrays, attrs: Attrs) -> list[Array]:
        x, scale = _wide(inputs)
        squares = (x * x).mean(axis=tuple(range(attrs["axis"], x.ndim)), keepdims=True)
        return [(x / np.sqrt(squares + attrs["epsilon"]) * scale).astype(_dtype(inputs))]


def _channels(values: Sequence[Value], least_rank: int) -> Value:
    x = _same_float(values)
    require(x.rank >= least_rank, f"takes an input of rank {least_rank} or more, not {x.rank}")
    for value in values[1:]:
        require(value.shape == (x.shape[1],), f"{value.shape} does not fit {x.shape[1]} channels")
    return x


def _over_channels(parameter: Array, rank: int) -> Array:
    return parameter.reshape(-1, *[1] * (rank - 2))


class BatchNormalization(OpDef):
    """scale * (x - mean) / sqrt(variance + epsilon) + bias for each channel (axis 1), as in inference.

    Inputs: x, scale, bias, mean, variance.
    """

    name = "BatchNormalization"
    attrs: ClassVar = {"epsilon": 1e-5}
    cases = (
        Case(((F32, (2, 3, 5, 4)), *[(F32, (3,))] * 4), label="2d", low=0.1),
        Case(((F32, (2, 3)), *[(F32, (3,))] * 4), {"epsilon": 0.1}, "rows", low=0.1),
        Case(((F32, (2, 5, 7)), *[(F32, (5,))] * 4), label="dynamic", symbols=BATCH, low=0.1),
        Case(((F16, (2, 3, 2, 2)), *[(F16, (3,))] * 4), label="f16", low=0.1),
    )

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        x = _channels(present(inputs, 5), 2)
        return [TensorType(x.dtype, x.shape)]

    def reference(self, inputs: Arrays, attrs: Attrs) -> list[Array]:
        x, *parameters = _wide(inputs)
        scale, bias, mean, variance = (_over_channels(p, x.ndim) for p in parameters)
        result = scale * (x - mean) / np.sqrt(variance + attrs["epsilon"]) + bias
        return [result.astype(_dtype(inputs))]


class InstanceNormalization(OpDef):
    """x standardised over the spatial axes for each example and channel, times scale, plus bias."""

    name = "InstanceNormalization"
    attrs: ClassVar = {"epsilon": 1e-5}
    cases = (
        Case(((F32, (2, 3, 5, 4)), (F32, (3,)), (F32, (3,))), label="2d"),
        Case(((F32, (2, 3, 17)), (F32, (3,)), (F32, (3,))), {"epsilon": 0.1}, "1d"),
        Case(((F32, (2, 3, 4, 4)), (F32, (3,)), (F32, (3,))), label="dynamic", symbols=BATCH),
        Case(((F16, (1, 2, 5)), (F16, (2,)), (F16, (2,))), label="f16"),
        Case(((F16, (1, 2, 64)), (F16, (2,)), (F16, (2,))), label="f16-large", low=-4000, high=4000),
    )

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        x = _channels(present(inputs, 3), 3)
        return [TensorType(x.dtype, x.shape)]

    def reference(self, inputs: Arrays, attrs: Attrs) -> list[Array]:
        x, scale, bias = _wide(inputs)
        result = _standardised(x, tuple(range(2, x.ndim)), attrs["epsilon"])
        return [
            (result * _over_channels(scale, x.ndim) + _over_channels(bias, x.ndim)).astype(_dtype(inputs))
        ]
