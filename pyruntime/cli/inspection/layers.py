"""Draws a graph of steps in layers: every node below what it reads, edges short and with few crossings.

The method of Sugiyama, Tagawa and Toda ("Methods for visual understanding of hierarchical system structures",
1981): layers by longest paths, long edges through points in each layer between, orders by the mean place of
neighbours, and places that are as near to these means as the widths of the nodes allow.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

SWEEPS = 12  # over all layers, down and up; few crossings go after more
MOST = 150_000  # items that all sweeps together visit: with many long edges there are fewer sweeps
# how much the ends of a piece of an edge pull at each other, by how many of them are points of a long edge
PULLS = (2.0, 0.5, 8.0)
CENTRE = 0.1  # how much the middle of the whole pulls at a node


@dataclass(frozen=True)
class Box:
    """Where a node lies: its middle, and its size."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Drawing:
    """Nodes by their names, the points through which each edge goes, and the size of the whole."""

    boxes: Mapping[str, Box]
    edges: Mapping[tuple[str, str], tuple[tuple[float, float], ...]]
    width: float
    height: float


@dataclass
class _Item:
    """A node, or a point of a long edge, in a layer."""

    width: float
    above: list[_Item] = field(default_factory=list)
    below: list[_Item] = field(default_factory=list)
    point: bool = False
    x: float = 0.0


def draw(
    sizes: Mapping[str, tuple[float, float]],
    edges: Sequence[tuple[str, str]],
    *,
    gap: float = 24,
    rise: float = 34,
) -> Drawing:
    """Place the nodes.

    Args:
        sizes: width and height of each node, in an order in which every edge goes to a later one.
        edges: pairs of nodes; those that do not go to a later node (of loops) are left out of the layers.
        gap: the least distance between nodes of a layer.
        rise: the distance between layers.
    """
    position = {name: i for i, name in enumerate(sizes)}
    forward = [e for e in dict.fromkeys(edges) if position[e[0]] < position[e[1]]]
    layer = _layers(sizes, forward)
    count = max(layer.values(), default=-1) + 1
    rows: list[list[_Item]] = [[] for _ in range(count)]
    items = {name: _Item(width) for name, (width, _) in sizes.items()}
    for name, item in items.items():
        rows[layer[name]].append(item)
    through: dict[tuple[str, str], list[_Item]] = {}
    for source, target in forward:
        chain = [items[source]]
        for number in range(layer[source] + 1, layer[target]):
            point = _Item(0.0, point=True)
            rows[number].append(point)
            chain.append(point)
        chain.append(items[target])
        for upper, lower in itertools.pairwise(chain):
            upper.below.append(lower)
            lower.above.append(upper)
        through[source, target] = chain
    sweeps = min(SWEEPS, max(MOST // max(sum(map(len, rows)), 1), 2))
    _order(rows, sweeps)
    _place(rows, gap, sweeps)
    heights = [max((sizes[n][1] for n in sizes if layer[n] == i), default=0.0) for i in range(count)]
    tops = [sum(heights[:i]) + rise * i for i in range(count)]
    middles = [top + height / 2 for top, height in zip(tops, heights, strict=True)]
    left = min((i.x - i.width / 2 for row in rows for i in row), default=0.0)
    right = max((i.x + i.width / 2 for row in rows for i in row), default=0.0)
    boxes = {n: Box(items[n].x - left, middles[layer[n]], *sizes[n]) for n in sizes}
    lines = {}
    for (source, target), chain in through.items():
        inner = [(p.x - left, middles[layer[source] + i]) for i, p in enumerate(chain)][1:-1]
        start, end = boxes[source], boxes[target]
        first, last = (start.x, start.y + start.height / 2), (end.x, end.y - end.height / 2)
        lines[source, target] = (first, *inner, last)
    return Drawing(boxes, lines, right - left, (tops[-1] + heights[-1]) if count else 0.0)


def _layers(names: Mapping[str, Hashable], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The length of the longest path to each node; what nothing leads to lies just above its first reader."""
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    for source, target in edges:
        before.setdefault(target, []).append(source)
        after.setdefault(source, []).append(target)
    found: dict[str, int] = {}
    for name in names:
        found[name] = max((found[b] + 1 for b in before.get(name, ())), default=0)
    for name in names:
        if name not in before and name in after:
            found[name] = min(found[a] for a in after[name]) - 1
    return found


def _order(rows: list[list[_Item]], sweeps: int) -> None:
    """Sort each layer by where its neighbours are, downwards and upwards in turn; keep the best."""
    best, fewest = [list(row) for row in rows], _crossings(rows)
    for sweep in range(sweeps):
        if not fewest:
            break
        down = sweep % 2 == 0
        for number in range(1, len(rows)) if down else range(len(rows) - 2, -1, -1):
            fixed = {id(item): i for i, item in enumerate(rows[number - 1 if down else number + 1])}
            means = []
            for i, item in enumerate(rows[number]):
                near = [fixed[id(n)] for n in (item.above if down else item.below)]
                means.append((sum(near) / len(near) if near else float(i), i))
            rows[number] = [rows[number][i] for _, i in sorted(means)]
        crossings = _crossings(rows)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    for row, kept in zip(rows, best, strict=True):
        row[:] = kept


def _crossings(rows: Sequence[Sequence[_Item]]) -> int:
    """How many pairs of edges cross."""
    total = 0
    for upper, lower in itertools.pairwise(rows):
        place = {id(item): i for i, item in enumerate(lower)}
        earlier: list[int] = []  # ends of the edges to the left, sorted
        for item in upper:
            ends = sorted(place[id(b)] for b in item.below)
            total += sum(len(earlier) - bisect.bisect_right(earlier, end) for end in ends)
            for end in ends:
                bisect.insort(earlier, end)
    return total


def _place(rows: Sequence[Sequence[_Item]], gap: float, sweeps: int) -> None:
    """Move each item towards the mean of its neighbours, as far as the others let it."""
    for row in rows:
        x = 0.0
        for item in row:
            item.x = x + item.width / 2
            x += item.width + gap
        for item in row:
            item.x -= (x - gap) / 2
    for sweep in range(sweeps):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            wanted, weights = [], []
            for item in row:
                pulls = [(n.x, PULLS[item.point + n.point]) for n in (*item.above, *item.below)]
                pulls.append((0.0, 0.0 if item.point else CENTRE))
                weight = sum(w for _, w in pulls)
                wanted.append(sum(x * w for x, w in pulls) / weight)
                weights.append(weight)
            _apart(row, wanted, weights, gap)


def _apart(row: Sequence[_Item], wanted: Sequence[float], weights: Sequence[float], gap: float) -> None:
    """Places nearest to those wanted, by weighted squares, order and distance kept: pooled neighbours."""
    offsets, offset = [], 0.0
    for i, item in enumerate(row):
        if i:
            offset += (row[i - 1].width + item.width) / 2 + gap
        offsets.append(offset)
    blocks: list[tuple[float, float, int]] = []  # mean, weight, count
    for want, weight, shift in zip(wanted, weights, offsets, strict=True):
        block = (want - shift, weight, 1)
        while blocks and blocks[-1][0] >= block[0]:
            mean, more, count = blocks.pop()
            total = more + block[1]
            block = ((mean * more + block[0] * block[1]) / total, total, count + block[2])
        blocks.append(block)
    index = 0
    for mean, _, count in blocks:
        for i in range(index, index + count):
            row[i].x = mean + offsets[i]
        index += count
