"""Pools as ONNX has them, for its reference, which errs where windows reach past the padding, or has none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_max_pool import MaxPool as Reference

Array = NDArray[Any]


def _pads(
    given: dict[str, Any], sizes: Sequence[int], reach: Sequence[int], strides: Sequence[int]
) -> list[int]:
    """Padding before each axis, then after each."""
    if given["auto_pad"] in ("NOTSET", "VALID"):
        return list(given["pads"] or [0] * 2 * len(sizes))
    totals = [max((-(-n // s) - 1) * s + r - n, 0) for n, s, r in zip(sizes, strides, reach, strict=True)]
    small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
    return small + large if given["auto_pad"] == "SAME_UPPER" else large + small


def _windows(x: Array, given: dict[str, Any]) -> tuple[Array, Array, Array]:
    """What each window meets.

    Returns:
        Elements [n, c, windows..., taps...], 0 outside; whether they lie inside the input, and whether inside
        the padding, [windows..., taps...].
    """
    kernel, sizes, rank = given["kernel_shape"], x.shape[2:], x.ndim - 2
    strides, dilations = given["strides"] or [1] * rank, given["dilations"] or [1] * rank
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    pads = _pads(given, sizes, reach, strides)
    same = given["auto_pad"].startswith("SAME")
    met, inside, padded = x, np.array(True), np.array(True)
    for axis, size in enumerate(sizes):
        before, after, stride = pads[axis], pads[axis + rank], strides[axis]
        room = size + before + after - reach[axis]
        count = room // stride + 1
        if given["ceil_mode"] and not same:  # the last begins inside the input or the padding before
            count = min(-(-room // stride) + 1, -(-(size + before) // stride))
        at = np.arange(count)[:, None] * stride - before + np.arange(kernel[axis]) * dilations[axis]
        met = np.moveaxis(met.take(np.clip(at, 0, size - 1), axis=2 + axis), 3 + axis, -1)
        spread = at.reshape(
            [1] * axis + [count] + [1] * (rank - 1) + [kernel[axis]] + [1] * (rank - 1 - axis)
        )
        inside = inside & (spread >= 0) & (spread < size)
        padded = padded & (spread < size + after)
    return np.where(inside, met, 0), inside, padded


def _taps(x: Array) -> tuple[int, ...]:
    return tuple(range(2 - x.ndim, 0))


class AveragePool(OpRun):
    """The mean of no element is 0."""

    def _run(self, x: Array, **given: Any) -> tuple[Array]:
        met, inside, padded = _windows(x, given)
        counted = padded if given["count_include_pad"] else inside
        count = counted.sum(axis=_taps(x), dtype=x.dtype)
        return (np.asarray(met.sum(axis=_taps(x)) / np.maximum(count, 1)),)


class MaxPool(Reference):
    """With SAME the first window never begins behind the first element, however far strides reach."""

    def _run(self, x: Array, **given: Any) -> tuple[Array, ...]:  # type: ignore[override]  # it lists attributes
        if not (given["auto_pad"] or "").startswith("SAME"):
            found: tuple[Array, ...] = super()._run(x, **given)  # type: ignore[no-untyped-call]  # it has no types
            return found
        met, inside, _ = _windows(x, given)
        return (met.max(axis=_taps(x), where=inside, initial=-np.inf),)


class LpPool(OpRun):
    """The root of a sum of powers."""

    def _run(self, x: Array, **given: Any) -> tuple[Array]:
        met, *_ = _windows(x, given)
        return (np.asarray((np.abs(met) ** given["p"]).sum(axis=_taps(x)) ** (1 / given["p"]), x.dtype),)


class GlobalLpPool(OpRun):
    """Over all axes behind the channels."""

    def _run(self, x: Array, p: int) -> tuple[Array]:
        sums = (np.abs(x) ** p).sum(axis=tuple(range(2, x.ndim)), keepdims=True)
        return (np.asarray(sums ** (1 / p), x.dtype),)


class MaxRoiPool(OpRun):
    """The reference has none: whole pixels, both ends included, in bins that may share a pixel."""

    def _run(
        self, x: Array, rois: Array, pooled_shape: Sequence[int], spatial_scale: float | None = None
    ) -> tuple[Array]:
        scale = 1.0 if spatial_scale is None else spatial_scale
        made = np.zeros((len(rois), x.shape[1], *pooled_shape), x.dtype)
        for at, (image, *corners) in enumerate(rois.astype(np.float64)):
            scaled = np.reshape(corners, (2, 2))[:, ::-1] * scale
            first, last = np.sign(scaled) * np.floor(np.abs(scaled) + 0.5)
            reach = np.maximum(last - first + 1, 1)
            for place in np.ndindex(*pooled_shape):
                begin = np.floor(np.array(place) * reach / pooled_shape) + first
                end = np.ceil((np.array(place) + 1) * reach / pooled_shape) + first
                held = np.clip([begin, end], 0, x.shape[2:]).astype(int)
                part = x[int(image), :, slice(*held[:, 0]), slice(*held[:, 1])]
                if part.size:
                    made[(at, slice(None), *place)] = part.max(axis=(1, 2))
        return (made,)
