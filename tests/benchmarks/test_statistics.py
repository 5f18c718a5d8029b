"""Medians, their intervals and ratios: against the binomial distribution and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.court.statistics import Estimate, estimate, geometric_mean, ranks, ratios


def covered(count: int, low: int, high: int) -> float:
    """The probability that low + 1 to high of `count` values are below the median."""
    ways = sum(math.comb(count, k) for k in range(low + 1, high + 1))
    return float(ways / 2**count)


@pytest.mark.parametrize("count", range(6, 60))
def test_intervals_cover_the_median_and_are_the_narrowest_that_do(count: int) -> None:
    low, high = ranks(count)
    assert low + high == count - 1
    assert covered(count, low, high) >= 0.95
    if low + 1 < high - 1:
        assert covered(count, low + 1, high - 1) < 0.95


@pytest.mark.parametrize("count", range(1, 6))
def test_few_values_give_their_range(count: int) -> None:
    assert ranks(count) == (0, count - 1)


def test_no_values_are_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        estimate([])
    with pytest.raises(ValueError, match="no values"):
        geometric_mean([])


def test_fifteen_values_reach_from_the_fourth_to_the_twelfth() -> None:
    values = [7.0, 1, 15, 3, 9, 5, 11, 13, 2, 4, 6, 8, 10, 12, 14]
    assert estimate(values) == Estimate(8, 4, 12)


def test_an_even_number_of_values_has_the_mean_of_the_middle_two() -> None:
    assert estimate([4.0, 1, 2, 10]).median == 3


def test_skewed_values_are_covered_as_often_as_promised() -> None:
    draws = np.random.default_rng(0).exponential(1, (4000, 15))
    found = [estimate(row) for row in draws.tolist()]
    inside = sum(e.low <= math.log(2) <= e.high for e in found) / len(found)
    assert 0.95 <= inside <= 0.98


def test_ratios_are_by_round() -> None:
    slow_and_fast_rounds = [1.0, 50, 1, 1, 50]
    twice = [2 * t for t in slow_and_fast_rounds]
    assert ratios(twice, slow_and_fast_rounds) == Estimate(2, 2, 2)


def test_ratios_take_the_rounds_that_both_have() -> None:
    assert ratios([2.0, 4], [1.0, 1, 100]).median == 3


def test_geometric_mean() -> None:
    assert geometric_mean([1.0, 4, 16]) == pytest.approx(4)
