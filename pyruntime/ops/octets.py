"""What two adjacent quads of 8-bit weights come to, where kernels multiply bytes and add in 16 bits.

Four elements of a column lie together in a quad (see `layouts.pack_tap_quads`). Kernels may multiply two
adjacent quads with unsigned bytes, and add in a lane of 16 bits the products of two elements of each: the
first two, or the last two. The sums of the positive and of the negative ones among the four bound a lane.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
LANE = 128  # |sum| of weights of one sign that times 255 fits 16 bits


def octet_range(matrices: Array, run: int) -> tuple[int, int]:
    """The least sum of negative and the largest of positive weights in one lane.

    Args:
        matrices: weights [T, K, N], one matrix per tap.
        run: taps whose quads follow one another: quads are paired within them, from the first one on.
    """
    lanes = _lanes(matrices.astype(np.int32), run)
    low, high = np.minimum(lanes, 0).sum(axis=(2, 4)), np.maximum(lanes, 0).sum(axis=(2, 4))
    return int(low.min(initial=0)), int(high.max(initial=0))


def limit_octets(matrices: Array, run: int) -> Array:
    """Weights [T, K, N] in 7 bits, of which those are made smaller that together leave their lane.

    Few are, and by little: it takes four neighbours of one sign with a mean above 32. Arguments as in
    `octet_range`, which is within LANE for what this gives.
    """
    lanes = _lanes(matrices.astype(np.int32), run)
    for bound in (np.minimum, np.maximum):
        part = bound(lanes, 0)
        total = np.abs(part).sum(axis=(2, 4), keepdims=True)
        smaller = np.sign(part) * (np.abs(part) * LANE // np.maximum(total, LANE))
        lanes = np.where(part != 0, smaller, lanes)
    taps, k, n = matrices.shape
    quads = -(-run * _quads(k) // 2) * 2
    whole = lanes.reshape(taps // run, quads * 4, n)[:, : run * _quads(k) * 4]
    return whole.reshape(taps, _quads(k) * 4, n)[:, :k].astype(matrices.dtype)


def _quads(k: int) -> int:
    return -(-k // 4)


def _lanes(matrices: Array, run: int) -> Array:
    """The weights over (runs, pairs of quads, quad, lane, element, column), zero-filled."""
    taps, k, n = matrices.shape
    quads = _quads(k)
    padded = np.zeros((taps, quads * 4, n), matrices.dtype)
    padded[:, :k] = matrices
    runs = padded.reshape(taps // run, run * quads, 4, n)
    whole = np.zeros((taps // run, -(-run * quads // 2) * 2, 4, n), matrices.dtype)
    whole[:, : run * quads] = runs
    return whole.reshape(taps // run, whole.shape[1] // 2, 2, 2, 2, n)
