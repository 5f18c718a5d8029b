"""Lookups: of positions that follow each other, and of rows of which something is computed."""

from __future__ import annotations

import numpy as np
import pytest
from pyruntime_converter.lowering.lower import lower

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


def looked_up(rows: int, *parameters: int) -> Net:
    """Rows of a table for 5 to a batch of indices, plus a constant, and the exponential of that."""
    net = Net({"ids": np.random.default_rng(0).integers(0, rows, (2, 5))}, {"ids": ["batch", 5]})
    found = net("Gather", net.weight(rows, 4), "ids")
    net("Exp", net("Add", net.weight(*parameters), found))
    return net


@pytest.mark.parametrize(
    ("rows", "parameters", "left"),
    [
        (5, (4,), 0),
        (5, (), 0),
        (5, (1,), 0),
        (5, (5, 4), 2),  # another for each place
        (5, (1, 1, 4), 2),
        (6, (4,), 2),  # more rows than are read
    ],
)
def test_functions_of_rows(rows: int, parameters: tuple[int, ...], left: int) -> None:
    net = looked_up(rows, *parameters)
    counts = {"Gather": 1, "Add": left // 2, "Exp": left // 2}
    graph = recognised(net.proto(net.nodes[-1].output[0]), net.feeds, counts)
    assert len([*lower(graph).calls]) == 1


def test_functions_of_rows_that_others_read_too() -> None:
    net = looked_up(5, 4)
    found, added, computed = (n.output[0] for n in net.nodes)
    recognised(net.proto(found, computed), net.feeds, {"Gather": 1, "Add": 1, "Exp": 1})
    recognised(net.proto(added, computed), net.feeds, {"Gather": 1, "Add": 0, "Exp": 1})
    table = next(iter(net.weights))
    both = net("MatMul", computed, net("Transpose", table, perm=[1, 0]))
    recognised(net.proto(both), net.feeds, {"Gather": 1, "Add": 0, "Exp": 0})


def test_functions_of_rows_of_another_type() -> None:
    net = Net({"ids": np.arange(5)})
    rows = net("Gather", net.constant(np.arange(12, dtype=np.int64).reshape(3, 4)), "ids")
    net.feeds["ids"] = np.array([0, 1, 2, 1, 0])
    recognised(net.proto(net("Cast", rows, to=1)), net.feeds, {"Gather": 1, "Cast": 1})
