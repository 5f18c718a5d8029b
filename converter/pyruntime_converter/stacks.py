"""An arena of symbolic sizes: each block lies on those below it that live when it does.

Which lie below is what places for known sizes tell; it holds for all sizes. Places are sums that are rounded
down to the alignment, so that they stay short: sizes come in as they were before they were rounded up.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pyruntime.ir.dims import Dim, divides, floordiv, maximum

if TYPE_CHECKING:
    from pyruntime_converter.arenas import Block

# bytes that are not worth an expression of their own: by so much the larger of two places may be too large
_SLACK = 4096


def stacked(placed: Iterable[tuple[int, Block]], alignment: int) -> tuple[dict[Block, Dim], Dim]:
    """An offset for each block, and the total bytes.

    Args:
        placed: each block with its place, at sizes at which none overlaps another that lives when it does.
        alignment: of offsets.
    """
    tops: dict[Block, Dim] = {}  # where each ends, in the order of places
    places: dict[Block, Dim] = {}
    total: Dim = 0
    for _, block in sorted(placed, key=lambda p: p[0]):
        under: list[Block] = []
        for other in reversed(tops):
            # what lies under one of these is below them already
            if other.overlaps(block) and not any(map(other.overlaps, under)):
                under.append(other)
        place: Dim = 0
        for other in under:
            place = _larger(place, tops[other])
        places[block] = _rounded(place, alignment)
        tops[block] = place + _room(block, alignment)
        total = _larger(total, tops[block])
    return places, _rounded(total, alignment)


def _room(block: Block, alignment: int) -> Dim:
    """By how much what lies on a block must be higher, before places are rounded down."""
    if block.need is None or isinstance(block.bytes, int) or divides(alignment, block.need):
        return block.bytes
    return block.need + (alignment - 1)


def _rounded(place: Dim, alignment: int) -> Dim:
    return place if divides(alignment, place) else floordiv(place, alignment) * alignment


def _larger(a: Dim, b: Dim) -> Dim:
    """No less than either, and little more than the larger one."""
    (sum_a, rest_a), (sum_b, rest_b) = _split(a), _split(b)
    if abs(rest_a - rest_b) <= _SLACK:
        return maximum(sum_a, sum_b) + max(rest_a, rest_b)
    return maximum(a, b)


def _split(dim: Dim) -> tuple[Dim, int]:
    """What depends on symbols, and what does not."""
    if isinstance(dim, int):
        return 0, dim
    rest = dict(dim.terms).get((), 0)
    return dim - rest, rest
