"""Arenas: blocks of bytes that are needed for a while each, in as little memory as is easily found.

Known sizes are placed at the lowest gap that is free for the whole lifetime (as in Pisarchyk and Lee,
"Efficient memory management for deep neural net inference", 2020). With symbolic sizes, blocks share slots;
a slot is as large as the largest of its blocks, and slots lie one after another. WebGPU needs several arenas,
and takes more care: `groups`.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pyruntime.ir.dims import Dim, at_least, maximum
from pyruntime.ir.symbols import evaluate, symbols_of

# what symbols are taken for when sizes must be ordered
_TYPICAL = 16
_LARGER = 64  # times that, where so little has no meaning: a map of 16 pixels, halved five times
UNDEFINED = -1


@dataclass(eq=False)
class Block:
    """Bytes needed from step `first` to step `last`, both inclusive.

    `need` is what they were before they were rounded up to the alignment, or a little more.
    """

    bytes: Dim
    first: int
    last: int
    need: Dim | None = None

    def overlaps(self, other: Block) -> bool:
        """Whether both are alive at some step."""
        return self.first <= other.last and other.first <= self.last


def typical(dim: Dim, size: int = _TYPICAL) -> int:
    """A size to compare with others: as if all symbols were alike."""
    if isinstance(dim, int):
        return dim
    found = valued(dim, size)
    if found == UNDEFINED:
        found = valued(dim, size * _LARGER)
    return 2**63 if found is None else max(found, 0)


def valued(dim: Dim, size: int) -> int | None:
    """A dim with this for each of its symbols; None outside 64 bits, UNDEFINED where that divides by 0."""
    try:
        return evaluate(dim, dict.fromkeys(symbols_of(dim), size))
    except OverflowError:
        return None
    except ZeroDivisionError:
        return UNDEFINED


class Gaps:
    """Blocks of known sizes, each at the lowest place that is free for all of its life.

    Attributes:
        total: bytes.
    """

    def __init__(self, sizes: Callable[[Block], int] = lambda block: typical(block.bytes)) -> None:
        self.total = 0
        self._sizes = sizes
        self._placed: list[tuple[int, int, Block]] = []  # by where they begin

    def growth(self, block: Block) -> int:
        """By how many bytes the block would make the arena larger."""
        return max(self._place(block) + self._sizes(block) - self.total, 0)

    def put(self, block: Block) -> None:
        """Make room for a block."""
        place = self._place(block)
        end = place + self._sizes(block)
        insort(self._placed, (place, end, block), key=lambda p: p[:2])
        self.total = max(self.total, end)

    def placed(self) -> Iterator[tuple[int, Block]]:
        """Each block with its place."""
        return ((place, block) for place, _, block in self._placed)

    def finish(self) -> tuple[dict[Block, Dim], Dim]:
        """An offset for each block, and the total bytes."""
        return {block: place for place, block in self.placed()}, self.total

    def _place(self, block: Block) -> int:
        place, size, first, last = 0, self._sizes(block), block.first, block.last
        for begin, end, other in self._placed:  # the loop that planning large programs takes
            if first <= other.last and other.first <= last:
                if begin - place >= size:
                    break
                if end > place:
                    place = end
        return place


class Slots:
    """Blocks of symbolic sizes: each has a slot to itself while it lives."""

    def __init__(self) -> None:
        self._slots: list[tuple[Dim, list[Block]]] = []

    def put(self, block: Block) -> None:
        """Make room for a block."""
        slot = self._slot(block)
        if slot is None:
            self._slots.append((block.bytes, [block]))
        else:
            size, used = self._slots[slot]
            self._slots[slot] = (maximum(size, block.bytes), [*used, block])

    def finish(self) -> tuple[dict[Block, Dim], Dim]:
        """An offset for each block, and the total bytes."""
        offsets: dict[Block, Dim] = {}
        place: Dim = 0
        for size, used in self._slots:
            offsets.update(dict.fromkeys(used, place))
            place = place + size
        return offsets, place

    def _slot(self, block: Block) -> int | None:
        free = [i for i, (_, used) in enumerate(self._slots) if not any(map(block.overlaps, used))]
        # sharing pays where the slot does not have to grow, or grows to nothing but this block
        fitting = [i for i in free if at_least(self._slots[i][0], block.bytes)] or free
        return fitting[-1] if fitting else None


def pack(blocks: Sequence[Block]) -> tuple[dict[Block, Dim], Dim]:
    """One arena for all: an offset for each block, and the total bytes."""
    arena = Gaps() if all(isinstance(b.bytes, int) for b in blocks) else Slots()
    for block in sorted(blocks, key=lambda b: -typical(b.bytes)):  # the largest first wastes little
        arena.put(block)
    return arena.finish()
