"""Operators for which ONNX's reference is wrong, or coarser than float64, as ONNX's text has them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto
from onnx.helper import tensor_dtype_to_np_dtype
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_conv_transpose import ConvTranspose as _ConvTranspose
from onnx.reference.ops.op_resize import Resize as _Resize

from tests.fuzz.layers import GRU, LSTM, RNN
from tests.fuzz.pools import AveragePool, GlobalLpPool, LpPool, MaxPool, MaxRoiPool

Array = NDArray[Any]


class Erf(OpRun):
    """The reference has a polynomial, to 1e-7."""

    def _run(self, x: Array) -> tuple[Array]:
        return (np.vectorize(math.erf, otypes=[np.float64])(x).astype(x.dtype),)


class LpNormalization(OpRun):
    """The reference sums up without magnitudes."""

    def _run(self, x: Array, axis: int | None = None, p: int | None = None) -> tuple[Array]:
        norm = np.linalg.norm(x.astype(np.float64), p or 2, -1 if axis is None else axis, keepdims=True)
        return (np.divide(x, norm, out=np.zeros(x.shape), where=norm != 0).astype(x.dtype),)


class PRelu(OpRun):
    """The reference multiplies zeros by slopes, which may be infinite; ONNX's function does not."""

    def _run(self, x: Array, slope: Array) -> tuple[Array]:
        return (np.where(x < 0, x * slope, x),)


class QLinearMatMul(OpRun):
    """The reference scales in float64, and rounds with the zero point added, which moves ties."""

    def _run(
        self, a: Array, a_scale: Array, a_zero: Array, b: Array, b_scale: Array, b_zero: Array, *of_y: Array
    ) -> tuple[Array]:
        y_scale, y_zero = of_y
        sums = np.matmul(a.astype(np.int32) - a_zero, b.astype(np.int32) - b_zero)
        left, right, result = (s.astype(np.float32) for s in (a_scale, b_scale, y_scale))
        levels = np.rint(sums.astype(np.float32) * (left * right / result)) + y_zero.astype(np.float32)
        held = np.iinfo(y_zero.dtype)
        return (np.clip(levels, held.min, held.max).astype(y_zero.dtype),)


class ReduceLogSumExp(OpRun):
    """The reference subtracts infinities."""

    def _run(
        self, x: Array, axes: Array | None = None, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> tuple[Array]:
        given = () if axes is None else tuple(int(a) for a in axes)
        along = given if given or noop_with_empty_axes else tuple(range(x.ndim))
        largest = x.max(axis=along, keepdims=True, initial=-np.inf)
        largest = np.where(np.isinf(largest), 0, largest)
        total = np.log(np.exp(x - largest).sum(axis=along, keepdims=True)) + largest
        return (np.asarray(total if keepdims else total.squeeze(along), x.dtype),)


class GlobalMaxPool(OpRun):
    """The reference forgets axes past the second behind the channels."""

    def _run(self, x: Array) -> tuple[Array]:
        return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


class ConvTranspose(OpRun):
    """The reference gives all groups the bias of the first, and of several channels of a group the first."""

    def _run(
        self, x: Array, w: Array, b: Array | None = None, group: int | None = None, **attrs: Any
    ) -> tuple[Array]:
        group = group or 1
        plain: Any = _ConvTranspose(self.onnx_node, self.run_params)
        parts = zip(np.split(x, group, 1), np.split(w, group), strict=True)
        found = np.concatenate([plain._run(*part, group=1, **attrs)[0] for part in parts], 1)
        return (found if b is None else found + b.reshape(-1, *[1] * (x.ndim - 2)),)


class Loop(OpRun):
    """The reference joins rows along an axis of theirs, and takes a condition that is left out for false."""

    def need_context(self) -> bool:
        """Bodies read what is around them."""
        return True

    def _run(
        self,
        most: Array | None,
        on: Array | None,
        *carried: Array,
        body: ReferenceEvaluator,
        context: Mapping[str, Array],
        attributes: dict[str, Any] | None = None,
        **_: Any,
    ) -> tuple[Array, ...]:
        index, going, *names = body.input_names
        state, rows, count = list(carried), list[list[Array]](), 0
        go_on = True if on is None else bool(on)
        while go_on and (most is None or count < most):
            counted = {index: np.array(count, np.int64), going: np.array(go_on)}
            fed = {**context, **counted, **dict(zip(names, state, strict=True))}
            on, *found = map(np.asarray, body.run(None, fed, attributes))
            state, go_on, count = found[: len(names)], bool(on), count + 1
            rows.append(found[len(names) :])
        stacks = [np.stack(r) for r in zip(*rows, strict=True)] if rows else _of_nothing(body, len(names))
        return (*state, *stacks)


class _Scales(np.ndarray[Any, np.dtype[np.float32]]):
    """Scales whose products with sizes are float32, as in ONNX Runtime."""

    def __mul__(self, sizes: Any) -> Any:
        return np.asarray(self) * np.asarray(sizes, np.float32)


class Resize(OpRun):
    """The reference counts with float32 scales in float64, and to 7/10 of 10 elements is 6 by that.

    It also multiplies the elements beside the nearest one by 0, which makes NaN of infinities.
    """

    def _run(
        self,
        x: Array,
        region: Array | None = None,
        scales: Array | None = None,
        *sizes: Array | None,
        **attrs: Any,
    ) -> tuple[Array]:
        plain: Any = _Resize(self.onnx_node, self.run_params)
        nearest, factors = attrs["mode"] == "nearest", None
        if scales is not None and scales.size:
            factors = scales.view(_Scales)
            if nearest and attrs["coordinate_transformation_mode"] in _COORDINATES and not attrs.get("axes"):
                return (_nearest(x, scales, attrs["coordinate_transformation_mode"], attrs["nearest_mode"]),)
        if not nearest:
            return (plain._run(x, region, factors, *sizes, **attrs)[0],)
        places = np.arange(x.size, dtype=np.float64).reshape(x.shape)
        (found,) = plain._run(places, region, factors, *sizes, **{**attrs, "extrapolation_value": -1.0})
        beside = np.asarray(attrs["extrapolation_value"], x.dtype)
        return (np.where(found < 0, beside, x.reshape(-1)[found.astype(np.int64)]),)


# for numbers of elements, the scale, the size and what becomes of it, all float32: where those elements lie
_COORDINATES: dict[str, Callable[[Array, Any, Any, Any], Array]] = {
    "half_pixel": lambda i, s, _, __: (i + 0.5) / s - 0.5,
    "pytorch_half_pixel": lambda i, s, _, out: (i + 0.5) / s - 0.5 if out != 1 else i - 0.5,
    "asymmetric": lambda i, s, _, __: i / s,
    "align_corners": lambda i, _, size, out: i * (size - 1) / (out - 1) if out != 1 else i * 0,
}
_ROUNDINGS: dict[str, Callable[[Array], Array]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
}


def _nearest(x: Array, scales: Array, coordinates: str, rounding: str) -> Array:
    """The elements next to float32 coordinates."""
    for axis, scale in enumerate(scales.astype(np.float32)):
        size = np.float32(x.shape[axis])
        index = np.arange(int(size * scale), dtype=np.float32)
        place = _COORDINATES[coordinates](index, scale, size, size * scale).astype(np.float64)
        middle = np.floor(place) + 0.5
        place = np.where(np.abs(place - middle) < 1e-6, middle, place)
        x = x.take(_ROUNDINGS[rounding](place).astype(np.int64).clip(0, x.shape[axis] - 1), axis)
    return x


def _of_nothing(body: ReferenceEvaluator, carried: int) -> list[Array]:
    """No rows: of the sizes that the body declares, and of 0 where it declares none."""
    declared = [t.tensor_type for t in body.output_types[1 + carried :]]
    shapes = [(0, *(d.dim_value for d in t.shape.dim)) for t in declared]
    return [np.empty(s, tensor_dtype_to_np_dtype(t.elem_type)) for s, t in zip(shapes, declared, strict=True)]


def evaluator(proto: ModelProto) -> ReferenceEvaluator:
    """ONNX's reference with these operators in it."""
    mended: list[type[OpRun]] = [
        ConvTranspose,
        Erf,
        GlobalMaxPool,
        Loop,
        LpNormalization,
        PRelu,
        QLinearMatMul,
        ReduceLogSumExp,
    ]
    mended += [GRU, LSTM, RNN, Resize, AveragePool, GlobalLpPool, LpPool, MaxPool, MaxRoiPool]
    return ReferenceEvaluator(proto, new_ops=mended)
