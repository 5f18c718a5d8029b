"""Arenas of WebGPU: whatever the sizes, what lives together lies apart, in little more than it takes."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import pytest
from pyruntime_converter.arenas import Block, typical
from pyruntime_converter.groups import divide

from pyruntime.ir.dims import Dim, align, floordiv, maximum, symbol
from pyruntime.ir.symbols import evaluate

ALIGNMENT = 256
N, BATCH = symbol("n"), symbol("batch", (0, None))
Apart = dict[Block, set[Block]]


def block(size: Dim, first: int, last: int) -> Block:
    return Block(align(size, ALIGNMENT), first, last, size)


def kept_apart(blocks: Sequence[Block], pairs: Sequence[tuple[Block, Block]]) -> Apart:
    apart: Apart = {b: set() for b in blocks}
    for a, b in pairs:
        apart[a].add(b)
        apart[b].add(a)
    return apart


class Taken(NamedTuple):
    """What a division comes to: its bytes over those that live at once, at each of some sizes."""

    ratios: list[float]
    together: int  # pairs in one arena that should be apart


def taken(blocks: Sequence[Block], apart: Apart, each: Sequence[Mapping[str, int]]) -> Taken:
    """Divide blocks, and check that none clash at any of these sizes."""
    arenas = divide(blocks, apart, ALIGNMENT)
    assert sorted(map(id, blocks)) == sorted(id(b) for offsets, _ in arenas for b in offsets)
    together = sum(len(apart[b] & offsets.keys()) for offsets, _ in arenas for b in offsets) // 2
    found = []
    for sizes in each:
        whole = 0
        for offsets, total in arenas:
            spans = {b: (p := evaluate(o, sizes), p + evaluate(b.bytes, sizes)) for b, o in offsets.items()}
            for one, (begin, end) in spans.items():
                assert begin % ALIGNMENT == 0
                assert end <= evaluate(total, sizes)
                for other in spans.keys() - {one}:
                    assert not one.overlaps(other) or end <= spans[other][0] or spans[other][1] <= begin
            whole += evaluate(total, sizes)
        last = max(b.last for b in blocks)
        live = (
            sum(evaluate(b.bytes, sizes) for b in blocks if b.first <= s <= b.last) for s in range(last + 1)
        )
        found.append(whole / max(live))
    return Taken(found, together)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("fixed", [True, False], ids=["known", "symbolic"])
def test_nothing_clashes_at_any_sizes(seed: int, fixed: bool) -> None:
    draw = random.Random(seed)
    forms: list[Dim] = [4 * N, 4 * N * BATCH + 16, maximum(N, 3 * BATCH) * 64, floordiv(N + 3, 4) * 48 + 16]
    blocks = []
    for _ in range(draw.randrange(1, 30)):
        size: Dim = draw.choice(forms) * draw.randrange(1, 100) + draw.choice([16, 6000])
        first = draw.randrange(40)
        blocks.append(block(draw.randrange(1, 9000) if fixed else size, first, first + draw.randrange(12)))
    pairs = [(a, b) for a in blocks for b in blocks if a.last == b.first and a is not b]
    each = [{"n": draw.randrange(1, 300), "batch": draw.randrange(30)} for _ in range(6)]
    taken(blocks, kept_apart(blocks, pairs), [{"n": 1, "batch": 0}, {"n": 1, "batch": 1}, *each])


def test_one_large_block_makes_room_for_several() -> None:
    """Before it there are smaller ones, of which it is as large as all together."""
    blocks = [block(1000 * N, i, i + 1) for i in range(6)] + [block(3000 * N, 7, 8)]
    apart = kept_apart(blocks, list(pairwise(blocks)))
    assert max(taken(blocks, apart, [{"n": n} for n in (64, 100, 5000)]).ratios) <= 1.15


@pytest.mark.parametrize("layers", [2, 6, 12])
def test_caches_take_the_places_of_those_that_they_replace(layers: int) -> None:
    """As in a decoder: all are fed before the first step, and what each becomes lives to the end."""
    before = [block(1152 * N, 0, 1 + i) for i in range(layers)]
    after = [block(1152 * N + 1152, 1 + i, layers + 1) for i in range(layers)]
    apart = kept_apart([*before, *after], list(zip(before, after, strict=True)))
    made = taken([*before, *after], apart, [{"n": n} for n in (30, 100, 511, 4000)])
    assert max(made.ratios) <= 1.15
    assert not made.together


@pytest.mark.parametrize("layers", [2, 5, 30])
@pytest.mark.parametrize("size", [256 * N, 16384], ids=["symbolic", "known"])
def test_what_takes_too_much_apart_shares_arenas(layers: int, size: Dim) -> None:
    """As in a decoder: layers with attention, and a gate beside what it gates; then scores of all words."""
    made: list[list[Block]] = [[block(size, -1, 0)]]  # each block, and what is read to make it

    def step(times: int, *read: Block) -> Block:
        number = len(made) - 1
        for each in read:
            each.last = max(each.last, number)
        made.append([block(size * times, number, number), *read])
        return made[-1][0]

    hidden = made[0][0]
    for _ in range(layers):
        normal = step(1, hidden)
        hidden = step(1, step(1, *(step(1, normal) for _ in "qkv")), hidden)
        normal = step(1, hidden)
        gate = step(3, normal)
        hidden = step(1, step(3, normal, gate), hidden)
    step(8, hidden)  # as large as all that lives in a layer
    pairs = [(block, other) for block, *read in made for other in read]
    blocks = [block for block, *_ in made]
    took = taken(blocks, kept_apart(blocks, pairs), [{"n": n} for n in (16, 64, 100, 5000)])
    assert max(took.ratios) <= 1.15
    assert 0 < took.together < len(pairs) / 2


def test_plans_are_the_same_each_time() -> None:
    draw = random.Random(1)
    blocks = [block(draw.randrange(9000), i, i + draw.randrange(9)) for i in range(25)]
    apart = kept_apart(blocks, list(pairwise(blocks)))
    assert divide(blocks, apart, ALIGNMENT) == divide(blocks, apart, ALIGNMENT)


def test_sizes_that_mean_nothing_where_they_are_small() -> None:
    """A map of 16 pixels that is halved five times has no row to divide by."""
    rows = floordiv(symbol("h"), 32)
    elements = floordiv(symbol("b") * 64, rows)
    assert typical(elements) == 2048
    assert typical(elements, 64) == 2048
    assert typical(elements * 2**62) == 2**63


def test_nothing_takes_no_arenas() -> None:
    assert divide([], {}, ALIGNMENT) == []
