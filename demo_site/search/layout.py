"""A map of sentences: places in the plane, near each other where meanings are (t-SNE, in full, in NumPy).

L. van der Maaten and G. Hinton, Visualizing Data using t-SNE, JMLR 9 (2008).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PERPLEXITY = 20.0  # about how many neighbours a sentence has
ROUNDS = 600
EARLY = 150  # rounds in which attraction is stronger, so that groups form
EXAGGERATION = 6.0
TINY = 1e-12


def arrange(vectors: NDArray[np.float32], seed: int = 4) -> Array:
    """Places [n, 2] in 0 to 1 of unit vectors [n, d], n at least 4; the same for the same arguments."""
    points = np.asarray(vectors, np.float64)
    squares = np.maximum(2 - 2 * points @ points.T, 0)
    wanted = _affinities(squares, min(PERPLEXITY, (len(points) - 1) / 3))
    places = np.random.default_rng(seed).normal(0, 1e-4, (len(points), 2))
    step, gains = np.zeros_like(places), np.ones_like(places)
    rate = max(len(points) / EXAGGERATION, 50.0)
    for turn in range(ROUNDS):
        early = turn < EARLY
        slope = _slope(places, wanted * (EXAGGERATION if early else 1))
        gains = np.maximum(np.where((slope > 0) != (step > 0), gains + 0.2, gains * 0.8), 0.01)
        step = (0.5 if early else 0.8) * step - rate * gains * slope
        places += step
    low, high = places.min(axis=0), places.max(axis=0)
    inside: Array = (places - low) / np.maximum(high - low, TINY)
    return inside


def _affinities(squares: Array, perplexity: float) -> Array:
    """Joint probabilities [n, n] of neighbours, each row's width found by bisection for this perplexity."""
    n = len(squares)
    low, high, width = np.zeros(n), np.full(n, np.inf), np.ones(n)
    outside = ~np.eye(n, dtype=bool)
    for _ in range(60):
        weights = np.exp(-squares * width[:, None]) * outside
        shares = weights / np.maximum(weights.sum(axis=1, keepdims=True), TINY)
        entropy = -(shares * np.log(np.maximum(shares, TINY))).sum(axis=1)
        wide = entropy > np.log(perplexity)
        low, high = np.where(wide, width, low), np.where(wide, high, width)
        width = np.where(np.isinf(high), 2 * width, (low + high) / 2)
    joint: Array = np.maximum((shares + shares.T) / (2 * n), TINY)
    return joint


def _slope(places: Array, wanted: Array) -> Array:
    """The gradient of the divergence between wanted and actual neighbourhoods."""
    norms = (places**2).sum(axis=1)
    near = 1 / (1 + np.maximum(norms[:, None] + norms - 2 * places @ places.T, 0))
    np.fill_diagonal(near, 0)
    pull = (wanted - near / near.sum()) * near
    slope: Array = 4 * (pull.sum(axis=1)[:, None] * places - pull @ places)
    return slope
