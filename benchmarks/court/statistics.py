"""Medians with intervals that assume nothing of how values are distributed, ratios by round, means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A median, and the interval that holds the true one with 95 % confidence."""

    median: float
    low: float
    high: float


def ranks(count: int) -> tuple[int, int]:
    """The 0-based positions, in sorted order, of the ends of the median's interval.

    By the binomial distribution of how many of `count` values lie below the true median: the narrowest
    symmetric pair of order statistics that covers it with at least 95 %. Below 6 values no pair does, and the
    ends are the least and the largest.
    """
    if count < 1:
        raise ValueError("no values")
    below, tail = 0, 0.0
    for rank in range(count // 2):
        tail += math.comb(count, rank) / 2**count
        if 2 * tail > 1 - CONFIDENCE:
            break
        below = rank
    return below, count - 1 - below


def estimate(values: Sequence[float]) -> Estimate:
    """The median of values and its interval."""
    ordered = sorted(values)
    low, high = ranks(len(ordered))
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    return Estimate(median, ordered[low], ordered[high])


def ratios(above: Sequence[float], below: Sequence[float]) -> Estimate:
    """The ratio of two series that were measured in turns: the median over rounds, each by itself.

    What slows the machine for a while slows both sides of a round, and leaves its ratio alone. A series that
    stopped early is compared over the rounds that both have.
    """
    return estimate([a / b for a, b in zip(above, below, strict=False)])


def geometric_mean(values: Sequence[float]) -> float:
    """Of positive values."""
    if not values:
        raise ValueError("no values")
    return math.exp(math.fsum(math.log(v) for v in values) / len(values))
