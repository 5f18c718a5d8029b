"""Lookups of positions that follow each other are parts of a table."""

from __future__ import annotations

import numpy as np
import pytest

from tests.passes.net import Array, Net, ints, recognised


@pytest.mark.parametrize(
    ("places", "lookups"),
    [
        (np.arange(8)[None], 1),
        (np.arange(1, 9)[None], 1),
        (np.arange(0, 16, 2)[None], 1),
        (np.array([[0, 1, 2, 4, 3, 5, 6, 7]]), 2),
        (np.arange(7, -1, -1)[None], 2),
        (np.zeros((1, 8), np.int64), 2),
        (np.arange(-8, 0)[None], 2),  # from the end
    ],
)
def test_positions_of_a_sequence(places: Array, lookups: int) -> None:
    ids = np.random.default_rng(0).integers(0, 9, (2, 5))
    net = Net({"ids": ids}, {"ids": ["batch", "length"]})
    length = net("Shape", "ids", start=1, end=2)
    where = net("Slice", net.constant(places), ints(0), length, ints(1))
    words = net("Gather", net.weight(9, 4), "ids")
    made = net("Add", words, net("Gather", net.weight(16, 4), where))
    recognised(net.proto(made), {"ids": ids}, {"Gather": lookups})
