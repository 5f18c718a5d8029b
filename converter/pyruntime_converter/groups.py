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
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
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
    if not blocks:
        return []
    known = all(isinstance(b.bytes, int) for b in blocks)
    probes = (1,) if known else _PROBES
    little = () if known or any((valued(b.bytes, _LITTLE) or 0) <= 0 for b in blocks) else (_LITTLE,)
    probed = {size: _Probe(blocks, size) for size in (*probes, *little)}
    judged = [size for size in probed if size in probes or probed[size].peak >= _ALIGNED * alignment]

    def waste(plan: Plan) -> float:
        return max(sum(typical(total, size) for _, total in plan) / probed[size].peak for size in judged)

    best: tuple[Score, Plan] = (math.inf, 0, math.inf), []
    for price in _PRICES:
        for size in probes:
            arenas, pairs = _search(probed[size], apart, price)
            plan = [a.finish() if known else stacked(a.placed(), alignment) for a in arenas]
            score = _score(waste(plan), pairs)
            best = (score, plan) if score < best[0] else best
        if best[0][0] <= _MOST:
            break
    return best[1]


class _Probe:
    """Blocks as they are where each symbol is one number.

    Attributes:
        sizes: the bytes of each.
        steps: at which what lives changes.
        live: the bytes that live from each of these on.
        peak: the most of these.
    """

    def __init__(self, blocks: Sequence[Block], size: int) -> None:
        self.sizes = {b: typical(b.bytes, size) for b in blocks}
        changes: Counter[int] = Counter()
        for block, taken in self.sizes.items():
            changes[block.first] += taken
            changes[block.last + 1] -= taken
        self.steps = sorted(changes)
        self.live = [*accumulate(changes[s] for s in self.steps)]
        self.peak = max(self.live)

    @cached_property
    def orders(self) -> list[list[Block]]:
        """Orders in which to place them, of which one or another suits a program."""
        sizes, blocks = self.sizes, [*self.sizes]
        largest = sorted(blocks, key=lambda b: -sizes[b])

        def span(block: Block) -> int:
            return block.first - block.last

        def crowd(block: Block) -> int:
            first, end = bisect_left(self.steps, block.first), bisect_right(self.steps, block.last)
            return -max(self.live[first:end])

        return [
            blocks,
            largest,
            sorted(blocks, key=span),
            sorted(blocks, key=lambda b: (-sizes[b], span(b))),
            sorted(largest, key=crowd),
        ]


def _score(waste: float, pairs: int) -> Score:
    """Less is better: enough is enough, then few pairs together, then few bytes."""
    return max(waste, _MOST), pairs, waste


def _search(probe: _Probe, apart: Apart, price: float) -> tuple[list[Gaps], int]:
    """A division, and how many pairs are together in it, at a price for each, over the peak."""

    def tried(order: Sequence[Block]) -> tuple[Score, list[Gaps], Sequence[Block]]:
        arenas = _placed(order, apart, probe.sizes, price * probe.peak)
        return _score(sum(a.total for a in arenas) / probe.peak, _pairs(arenas, apart)), arenas, order

    best = min(map(tried, probe.orders), key=lambda t: t[0])
    count = len(probe.sizes)
    random = Random(0)  # the same packs each time
    for _ in range(min(_TRIES, _TRIES_EACH * count, _EFFORT // count**2)):
        if best[0] <= (_MOST, 0, _ENOUGH) or (best[0][0] > _MOST and price < math.inf):
            break  # there is nothing to gain, or more at the next price
        order = [*best[2]]
        block = order.pop(random.randrange(count))
        order.insert(random.randrange(count), block)
        made = tried(order)
        if made[0] <= best[0]:  # as good ones lead on, too
            best = made
    return best[1], best[0][1]


def _pairs(arenas: Sequence[Gaps], apart: Apart) -> int:
    """How many pairs that should be apart are together."""
    held = [{block for _, block in arena.placed()} for arena in arenas]
    return sum(len(apart[block] & members) for members in held for block in members) // 2


def _placed(order: Sequence[Block], apart: Apart, sizes: Mapping[Block, int], price: float) -> list[Gaps]:
    """Each block where it costs least; each arena as it became, or packed again if that is smaller."""
    arenas: list[tuple[Gaps, set[Block]]] = []

    def cost(block: Block, arena: Gaps, members: set[Block]) -> float:
        pairs = len(apart[block] & members)
        together = pairs * price if pairs else 0
        # more than an arena of its own: where it would lie here need not be known
        return together if together > sizes[block] else together + arena.growth(block)

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
