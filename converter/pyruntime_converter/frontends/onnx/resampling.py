"""Which input elements an output element of Resize is made of, and with which weights: one axis at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Axis:
    """One axis that is resized.

    Attributes:
        size, out: its elements before and after.
        scale: what coordinates are divided by.
        exact: `out` before it was rounded down.
        roi: the part of a crop.
        single: whether the nearest element is that of a coordinate in float32, as it is for scales in ONNX
            Runtime: the quotient of a whole number and a scale is mostly meant to be whole where it is there.
    """

    size: int
    out: int
    scale: float
    exact: float
    roi: tuple[float, float] = (0.0, 1.0)
    single: bool = False


_HALF = 1e-6  # how far from it a float32 coordinate still is in the middle, as in ONNX Runtime
# of these coordinates float32 has what ONNX Runtime has
SINGLE = frozenset(
    {"half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn"}
)


def _half_pixel(axis: Axis, i: Floats) -> Floats:
    return (i + 0.5) / axis.scale - 0.5


def _pytorch_half_pixel(axis: Axis, i: Floats) -> Floats:
    return _half_pixel(axis, i) if axis.exact != 1 else np.full_like(i, -0.5)


def _half_pixel_symmetric(axis: Axis, i: Floats) -> Floats:
    # from the middle, so that it stays where it is
    return (axis.size - 1) / 2 + (i + 0.5 - axis.out / 2) / axis.scale


def _align_corners(axis: Axis, i: Floats) -> Floats:
    return i * (axis.size - 1) / (axis.exact - 1) if axis.exact != 1 else np.zeros_like(i)


def _crop(axis: Axis, i: Floats) -> Floats:
    start, end = axis.roi
    steps = i / (axis.exact - 1) if axis.exact != 1 else np.full_like(i, 0.5)
    return (start + steps * (end - start)) * (axis.size - 1)


# coordinate_transformation_mode: where in the input output element i lies
COORDINATES: dict[str, Callable[[Axis, Floats], Floats]] = {
    "half_pixel": _half_pixel,
    "half_pixel_symmetric": _half_pixel_symmetric,
    "pytorch_half_pixel": _pytorch_half_pixel,
    "align_corners": _align_corners,
    "asymmetric": lambda axis, i: i / axis.scale,
    "tf_half_pixel_for_nn": lambda axis, i: (i + 0.5) / axis.scale,
    "tf_crop_and_resize": _crop,
}
# nearest_mode; "simple" is what opset 10 and before meant
ROUNDINGS: dict[str, Callable[[Axis, Floats], Floats]] = {
    "round_prefer_floor": lambda _, x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda _, x: np.floor(x + 0.5),
    "floor": lambda _, x: np.floor(x),
    "ceil": lambda _, x: np.ceil(x),
    "simple": lambda axis, x: np.ceil(x) if axis.scale < 1 else np.floor(x),
}


def _triangle(x: Floats, _: float) -> Floats:
    return np.asarray(np.maximum(1 - np.abs(x), 0))


def _cubic(x: Floats, a: float) -> Floats:
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


# mode: weight of a neighbour by its distance, and how far that reaches
_FILTERS: dict[str, tuple[Callable[[Floats, float], Floats], int]] = {
    "linear": (_triangle, 1),
    "cubic": (_cubic, 2),
}


@dataclass(frozen=True)
class Taps:
    """indices [out, taps] into the input's axis, weights alike, and which outputs lie outside a crop."""

    indices: Indices
    weights: Floats
    outside: NDArray[np.bool_]


def taps(
    axis: Axis, mode: str, coordinates: str, nearest: str, *, a: float, antialias: bool, exclude_outside: bool
) -> Taps:
    """What each output element of an axis is made of, for attributes named as in ONNX (a: cubic_coeff_a)."""
    if axis.single and mode == "nearest" and coordinates in SINGLE:
        x = _with_halves(COORDINATES[coordinates](axis, np.arange(axis.out, dtype=np.float32)))
    else:
        x = COORDINATES[coordinates](axis, np.arange(axis.out, dtype=np.float64))
    outside = (
        (x < 0) | (x > axis.size - 1) if coordinates == "tf_crop_and_resize" else np.zeros(axis.out, np.bool_)
    )
    if mode == "nearest":
        indices = ROUNDINGS[nearest](axis, x).astype(np.int64)[:, None]
        return Taps(indices.clip(0, axis.size - 1), np.ones(indices.shape), outside)
    weigh, reach = _FILTERS[mode]
    scale = min(axis.scale, 1.0) if antialias else 1.0
    first = int(np.floor(-reach / scale)) + 1
    indices = np.floor(x).astype(np.int64)[:, None] + np.arange(first, 2 - first)
    weights = weigh((indices - x[:, None]) * scale, a)
    if exclude_outside:
        weights = np.where((indices < 0) | (indices >= axis.size), 0.0, weights)
    if antialias or exclude_outside:
        weights = weights / weights.sum(axis=1, keepdims=True)
    return Taps(indices.clip(0, axis.size - 1), weights, outside)


def _with_halves(x: Floats) -> Floats:
    """float32 coordinates in float64; those next to the middle of two elements lie there."""
    x = x.astype(np.float64)
    half = np.floor(x) + 0.5
    return np.where(np.abs(x - half) < _HALF, half, x)


def repeats(indices: NDArray[Any], size: int) -> int:
    """n where the indices are each of 0 .. size - 1 repeated n times; else 0."""
    count = len(indices) // size if size else 0
    return count if count and np.array_equal(indices, np.arange(size).repeat(count)) else 0
