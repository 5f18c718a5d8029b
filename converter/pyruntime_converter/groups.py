"""Several arenas, small together, of which none holds two blocks that must be apart.

Blocks are placed one by one where they add least, in several orders: which is best depends on a program's
chains, residuals and branches. The best of them is then improved by moving single blocks in it. Symbolic
sizes are taken for a few numbers in turn; of each plan it is kept what lies on what (`stacks`), and that plan
is taken which is good at all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from random import Random

from pyruntime.ir.dims import Dim
from pyruntime_converter.arenas import Block, Gaps, typical
from pyruntime_converter.stacks import stacked

_PROBES = (64, 256, 1024)  # what symbols are taken for
_TRIES = 300  # moves of a block at most, and
_TRIES_EACH = 25  # for each block there is; those of large programs are limited to this many
_EFFORT = 1 << 22  # tries times blocks times blocks
_ENOUGH = 1.02  # times the bytes that live at once

Sizes = Mapping[Block, int]
Apart = Mapping[Block, set[Block]]


def divide(blocks: Sequence[Block], apart: Apart, alignment: int) -> list[tuple[dict[Block, Dim], Dim]]:
    """The arenas, each as an offset for every block that it holds, and its bytes.

    Args:
        blocks: all of them.
        apart: for each block those that lie in other arenas.
        alignment: of offsets, and of the blocks' bytes.
    """
    if all(isinstance(b.bytes, int) for b in blocks):
        return [a.finish() for a in _search(blocks, apart, {b: typical(b.bytes) for b in blocks})]
    each = {probe: {b: typical(b.bytes, probe) for b in blocks} for probe in _PROBES}
    plans = [
        [stacked(arena.placed(), alignment) for arena in _search(blocks, apart, sizes)]
        for sizes in each.values()
    ]
    peaks = {probe: max(_live(blocks, sizes).values()) for probe, sizes in each.items()}

    def waste(plan: Sequence[tuple[dict[Block, Dim], Dim]]) -> float:
        return max(sum(typical(total, probe) for _, total in plan) / peaks[probe] for probe in _PROBES)

    return min(plans, key=waste)


def _search(blocks: Sequence[Block], apart: Apart, sizes: Sizes) -> list[Gaps]:
    """A division of blocks of known sizes."""
    if not blocks:
        return []
    live = _live(blocks, sizes)
    enough = _ENOUGH * max(live.values())
    tried = [(_placed(order, apart, sizes), order) for order in _orders(blocks, sizes, live)]
    best, order = min(tried, key=lambda t: _total(t[0]))
    random = Random(0)  # the same packs each time
    for _ in range(min(_TRIES, _TRIES_EACH * len(blocks), _EFFORT // len(blocks) ** 2)):
        if _total(best) <= enough:
            break
        moved = [*order]
        block = moved.pop(random.randrange(len(moved)))
        moved.insert(random.randrange(len(blocks)), block)
        made = _placed(moved, apart, sizes)
        if _total(made) <= _total(best):  # as good ones lead on, too
            best, order = made, moved
    return best


def _total(arenas: Sequence[Gaps]) -> int:
    return sum(arena.total for arena in arenas)


def _placed(order: Sequence[Block], apart: Apart, sizes: Sizes) -> list[Gaps]:
    """Each block where it adds least; each arena as it became, or packed again if that is smaller."""
    arenas: list[tuple[Gaps, set[Block]]] = []
    for block in order:
        free = [a for a in arenas if a[1].isdisjoint(apart[block])]
        arena, members = min(free, key=lambda a: a[0].growth(block), default=(Gaps(sizes.__getitem__), set()))
        if not members:
            arenas.append((arena, members))
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
