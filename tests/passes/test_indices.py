"""Masks computed from positions, as decoders without a mask input spell them: causal, or left alone."""

from __future__ import annotations

import numpy as np
import pytest

from tests.passes.net import Net, ints, optimised, recognised

HEADS, WIDTH = 2, 4
LOWEST = float(np.finfo(np.float32).min)
ONE = np.array(1, np.int64)


def size_of(net: Net, axis: int) -> str:
    return net("Squeeze", net("Shape", "ids", start=axis, end=axis + 1), ints(0))


def positions(net: Net) -> str:
    return net("Range", net.constant(np.array(0, np.int64)), size_of(net, 1), ONE)


def attend(net: Net, mask: str) -> str:
    """Of queries, keys and values looked up by ids, with a mask that is added."""
    q, k, v = (
        net(
            "Transpose",
            net("Reshape", net("Gather", net.weight(9, HEADS * WIDTH), "ids"), ints(0, 0, HEADS, WIDTH)),
            perm=[0, 2, 1, 3],
        )
        for _ in range(3)
    )
    product = net("MatMul", q, net("Transpose", k, perm=[0, 1, 3, 2]))
    return net("MatMul", net("Softmax", net("Add", product, mask), axis=-1), v)


def net_of(batch: int, length: int) -> Net:
    ids = np.random.default_rng(length).integers(0, 9, (batch, length))
    return Net({"ids": ids}, {"ids": ["batch", "length"]})


def packed(net: Net, shift: int = 1) -> str:
    """Documents begin where positions do not grow by one; queries see earlier keys of their own."""
    row = net("Unsqueeze", positions(net), ints(0))
    batch = net("Shape", "ids", start=0, end=1)
    spread = net("Expand", row, net("Concat", batch, ints(1), axis=0))
    before = net("Sub", net("Slice", spread, ints(0), ints(1), ints(1)), np.array(shift, np.int64))
    longer = net("Concat", before, spread, axis=-1)
    end = net("Shape", "ids", start=1, end=2)
    first = net("Slice", longer, ints(0), end, ints(-1))
    second = net("Slice", longer, ints(1), net("Add", end, ints(1)), ints(-1))
    breaks = net("Not", net("Equal", net("Sub", second, first), ONE))
    document = net("CumSum", net("Cast", breaks, to=7), np.array(-1, np.int64))
    batches = net("Range", net.constant(np.array(0, np.int64)), size_of(net, 0), ONE)
    which = net("Unsqueeze", batches, ints(1, 2, 3))
    queries = net("Unsqueeze", positions(net), ints(0, 1, 3))
    keys = net("Unsqueeze", positions(net), ints(0, 1, 2))

    def at(tensor: str, index: str) -> str:
        shape = net("Shape", net("Max", which, index))
        parts = [net("Unsqueeze", net("Expand", i, shape), ints(-1)) for i in (which, index)]
        return net("GatherND", tensor, net("Concat", *parts, axis=-1))

    same = net("Equal", at(document, queries), at(document, keys))
    seen = net("And", same, net("LessOrEqual", at(spread, keys), at(spread, queries)))
    return net("Where", seen, 0.0, LOWEST)


@pytest.mark.parametrize(("batch", "length"), [(1, 1), (1, 2), (2, 5), (3, 9)])
def test_packed_sequences(batch: int, length: int) -> None:
    net = net_of(batch, length)
    graph = recognised(
        net.proto(attend(net, packed(net))),
        net.feeds,
        {"Attention": 1, "GatherND": 0, "CumSum": 0, "Where": 0, "LessOrEqual": 0},
    )
    (attention,) = (n for n in graph.nodes if n.op == "Attention")
    assert attention.attrs["causal"]
    assert attention.attrs["past"] == 0


def test_positions_with_a_break_stay() -> None:
    """The first difference is not one, so that a document begins at the first token."""
    net = net_of(2, 5)
    recognised(
        net.proto(attend(net, packed(net, shift=3))), net.feeds, {"Attention": 1, "CumSum": 1, "Where": 1}
    )


@pytest.mark.parametrize(("past", "causal"), [(0, True), (2, True), (-1, False)])
def test_queries_after_others(past: int, causal: bool) -> None:
    net = net_of(2, 5)
    queries = net("Add", net("Unsqueeze", positions(net), ints(1)), np.array(past, np.int64))
    seen = net("LessOrEqual", net("Unsqueeze", positions(net), ints(0)), queries)
    graph = recognised(net.proto(attend(net, net("Where", seen, 0.0, LOWEST))), net.feeds, {"Attention": 1})
    (attention,) = (n for n in graph.nodes if n.op == "Attention")
    assert (attention.attrs["causal"], attention.attrs["past"]) == ((True, past) if causal else (False, 0))


def test_other_comparisons_stay_masks() -> None:
    for swapped in (False, True):
        net = net_of(2, 5)
        rows = [net("Unsqueeze", positions(net), ints(axis)) for axis in (1, 0)]
        later = net(
            "LessOrEqual", *(rows if not swapped else [net("Mul", rows[1], np.array(2, np.int64)), rows[0]])
        )
        graph = optimised(net.proto(attend(net, net("Where", later, 0.0, LOWEST))))
        (attention,) = (n for n in graph.nodes if n.op == "Attention")
        assert not attention.attrs["causal"]


def test_indices_from_the_end_stay() -> None:
    """A gather at negative indices is no affine function of its data's axes."""
    net = net_of(2, 5)
    minus = net("Sub", net("Unsqueeze", positions(net), ints(1)), np.array(5, np.int64))
    out = net("GatherND", positions(net), minus)
    recognised(net.proto(out), net.feeds, {"GatherND": 1})
