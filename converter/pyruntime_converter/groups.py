"""Several arenas, small together, of which none holds two blocks that should be apart, if that is possible.

Blocks are placed one by one where they add least, in several orders: which is best depends on a program's
chains, residuals and branches. The best of them is then improved by moving single blocks in it. Symbolic
sizes are taken for a few numbers in turn; of each plan it is kept what lies on what (`stacks`), and that plan
is taken which is good at all of them.

Some programs need more room so: a decoder whose scores of all words are as large as all that lives in a
layer needs 1.3 times what lives at once. There, blocks may be together at a price in bytes for each such
pair, which falls until all arenas are small enough.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from random import Random

from pyruntime.ir.dims import Dim
from pyruntime_converter.arenas import Block, Gaps, typical, valued
from pyruntime_converter.stacks import stacked

_PROBES = (64, 256, 1024)  # what symbols are taken for
_LITTLE = 4  # the same, where plans are compared, if blocks have a meaning there, and
_ALIGNED = 64  # times the alignment live at once: of less, the alignment decides
_TRIES = 300  # moves of a block at most, and
_TRIES_EACH = 25  # for each block there is; those of large programs are limited to this many
_EFFORT = 1 << 22  # tries times blocks times blocks
_ENOUGH = 1.02  # times the bytes that live at once: no better plan is looked for
_MOST = 1.15  # times the bytes that live at once: what all arenas may take
_PRICES = (math.inf, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 256, 0)  # of a pair together, over these bytes

Sizes = Mapping[Block, int]
Apart = Mapping[Block, set[Block]]
Plan = list[tuple[dict[Block, Dim], Dim]]
Score = tuple[float, int, float]


def divide(blocks: Sequence[Block], apart: Apart, alignment: int) -> Plan:
    """The arenas, each as an offset for every block that it holds, and its bytes.

    Args:
        blocks: all of them.
        apart: for each block those that lie in other arenas, unless that takes too much.
        alignment: of offsets, and of the blocks' bytes.
    """
    known = all(isinstance(b.bytes, int) for b in blocks)
    probes = (1,) if known else _PROBES
    little = () if known or any((valued(b.bytes, _LITTLE) or 0) <= 0 for b in blocks) else (_LITTLE,)
    each = {size: {b: typical(b.bytes, size) for b in blocks} for size in (*probes, *little)}
    peaks = {size: max(_live(blocks, sizes).values(), default=1) for size, sizes in each.items()}
    judged = [size for size in each if size in probes or peaks[size] >= _ALIGNED * alignment]

    def waste(plan: Plan) -> float:
        return max(sum(typical(total, size) for _, total in plan) / peaks[size] for size in judged)

    best: tuple[Score, Plan] = (math.inf, 0, math.inf), []
    for price in _PRICES:
        for size in probes:
            arenas, pairs = _search(blocks, apart, each[size], price * peaks[size])
            plan = [a.finish() if known else stacked(a.placed(), alignment) for a in arenas]
            score = _score(waste(plan), pairs)
            best = (score, plan) if score < best[0] else best
        if best[0][0] <= _MOST:
            break
    return best[1]


def _score(waste: float, pairs: int) -> Score:
    """Less is better: enough is enough, then few pairs together, then few bytes."""
    return max(waste, _MOST), pairs, waste


def _search(blocks: Sequence[Block], apart: Apart, sizes: Sizes, price: float) -> tuple[list[Gaps], int]:
    """A division of blocks of known sizes, and how many pairs are together in it, at a price for each."""
    if not blocks:
        return [], 0
    live = _live(blocks, sizes)
    peak = max(live.values())

    def tried(order: Sequence[Block]) -> tuple[Score, list[Gaps], Sequence[Block]]:
        arenas = _placed(order, apart, sizes, price)
        return _score(sum(a.total for a in arenas) / peak, _pairs(arenas, apart)), arenas, order

    best = min(map(tried, _orders(blocks, sizes, live)), key=lambda t: t[0])
    random = Random(0)  # the same packs each time
    for _ in range(min(_TRIES, _TRIES_EACH * len(blocks), _EFFORT // len(blocks) ** 2)):
        if best[0] <= (_MOST, 0, _ENOUGH) or (best[0][0] > _MOST and price < math.inf):
            break  # there is nothing to gain, or more at the next price
        order = [*best[2]]
        block = order.pop(random.randrange(len(order)))
        order.insert(random.randrange(len(blocks)), block)
        made = tried(order)
        if made[0] <= best[0]:  # as good ones lead on, too
            best = made
    return best[1], best[0][1]


def _pairs(arenas: Sequence[Gaps], apart: Apart) -> int:
    """How many pairs that should be apart are together."""
    held = [{block for _, block in arena.placed()} for arena in arenas]
    return sum(len(apart[block] & members) for members in held for block in members) // 2


def _placed(order: Sequence[Block], apart: Apart, sizes: Sizes, price: float) -> list[Gaps]:
    """Each block where it costs least; each arena as it became, or packed again if that is smaller."""
    arenas: list[tuple[Gaps, set[Block]]] = []

    def cost(block: Block, arena: Gaps, members: set[Block]) -> float:
        pairs = len(apart[block] & members)
        return arena.growth(block) + (pairs * price if pairs else 0)

    for block in order:
        costs = [cost(block, *each) for each in arenas]
        least = min(costs, default=math.inf)
        if least > sizes[block]:  # an arena of its own costs less
            arenas.append((Gaps(sizes.__getitem__), set()))
            costs.append(least := sizes[block])
        arena, members = arenas[costs.index(least)]
        arena.put(block)
        members.add(block)
    made = []
    for arena, members in arenas:
        again = Gaps(sizes.__getitem__)
        for block in sorted((b for b in order if b in members), key=lambda b: (-sizes[b], b.first)):
            again.put(block)
        made.append(min(arena, again, key=lambda a: a.total))
    return made


def _live(blocks: Sequence[Block], sizes: Sizes) -> dict[int, int]:
    """The bytes that live from each step on at which they change."""
    changes: Counter[int] = Counter()
    for block in blocks:
        changes[block.first] += sizes[block]
        changes[block.last + 1] -= sizes[block]
    steps = sorted(changes)
    return dict(zip(steps, accumulate(changes[s] for s in steps), strict=True))


def _orders(blocks: Sequence[Block], sizes: Sizes, live: Mapping[int, int]) -> Iterator[Sequence[Block]]:
    """Orders of which one or another suits a program."""

    largest = sorted(blocks, key=lambda b: -sizes[b])

    def span(block: Block) -> int:
        return block.first - block.last

    def crowd(block: Block) -> int:
        return -max(count for step, count in live.items() if block.first <= step <= block.last)

    yield blocks
    yield largest
    yield sorted(blocks, key=span)
    yield sorted(blocks, key=lambda b: (-sizes[b], span(b)))
    yield sorted(largest, key=crowd)
