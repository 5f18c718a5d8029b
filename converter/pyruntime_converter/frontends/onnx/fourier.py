"""Discrete Fourier transforms as products of matrices: which matrices, and where a length is split in two."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dims import Dim, maximum, minimum

Floats = NDArray[np.float64]

DIRECT = 400  # up to this length one product is as fast as two
MOST_WEIGHTS = 1 << 20  # elements of a matrix of twiddles, beyond which a more uneven split is taken
_FEWEST_WEIGHTS = 16  # for each element of the signal: what a split off factor of 4 takes


@dataclass(frozen=True)
class Transform:
    """X[k] = sum over n < taken of x[n] exp(-+2 pi i n k / length), for k < given.

    Attributes:
        length: how many elements a period has; dims where inputs decide.
        taken, given: how many elements of the input count (the others are zero), and how many are wanted.
        parts, results: numbers of an element of the input and of the output: 2 for complex, 1 for real ones.
        inverse: whether the exponent is positive, and the sum divided by the length.
        mirrored: whether the input is half of a spectrum whose other half is its conjugate.
    """

    length: Dim
    taken: Dim
    given: Dim
    parts: int
    results: int
    inverse: bool = False
    mirrored: bool = False


def split(length: int, given: int) -> tuple[int, int] | None:
    """Factors a and b of the length: transforms of length a, then of length b; None for one product.

    Index n = b n1 + n2 of the input and k = k1 + a k2 of the output: the sums over n1 are transforms of
    length a, and the sums over n2 one product for each k1, in whose matrix the twiddles are.
    """
    if length <= DIRECT:
        return None
    most = max(MOST_WEIGHTS, _FEWEST_WEIGHTS * length)
    fits = [
        b
        for b in range(2, math.isqrt(length) + 1)
        if length % b == 0 and 4 * b * min(length, given + b) <= most
    ]
    return (length // max(fits), max(fits)) if fits else None


def mirror_weights(length: int, taken: int) -> Floats:
    """How often each element of half a spectrum counts: twice, but for those that are their own mirror."""
    k = np.arange(taken)
    return np.where((k == 0) | (2 * k == length), 1.0, 2.0)


def matrix(transform: Transform, first: NDArray[np.int64], second: NDArray[np.int64]) -> Floats:
    """exp(+-2 pi i first second / length) as real numbers, [..., parts, results, ...].

    `first` and `second` are broadcast, but for the last axis of each: [..., n] and [..., k] give
    [..., n, parts, results, k].
    """
    assert isinstance(transform.length, int)
    phases = (first[..., :, None] * second[..., None, :]) % transform.length
    angles = 2 * np.pi / transform.length * phases
    cosine, sine = np.cos(angles), np.sin(angles) if transform.inverse else -np.sin(angles)
    rows = [[cosine, sine], [-sine, cosine]][: transform.parts]
    columns = [np.stack(row[: transform.results], axis=-2) for row in rows]
    return np.asarray(np.stack(columns, axis=-3))


def lengths(size: Dim, stated: Dim | None, *, inverse: bool, onesided: bool, parts: int) -> Transform:
    """The transform of an axis of `size`, for the attributes of ONNX's DFT and a stated length."""
    if inverse and onesided:
        length = maximum(2 * (size - 1), 0) if stated is None else stated
        half = length // 2 + 1
        return Transform(length, minimum(size, half), length, parts, 1, inverse=True, mirrored=True)
    length = size if stated is None else stated
    given = length // 2 + 1 if onesided else length
    taken = size if stated is None else minimum(size, length)
    return Transform(length, taken, given, parts, 2, inverse)
