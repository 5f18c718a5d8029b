"""Axes that are operands: which ones a node means is known only when the model runs, and said by dims."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from pyruntime.ir.conditions import choose, equal, less
from pyruntime.ir.dims import Dim, at_least, grouped, maximum, mod, product
from pyruntime.ir.graph import Shape, Value
from pyruntime_converter.frontends.onnx.context import NodeContext

Row = tuple[Dim, ...]  # for each axis 1 where it is the one that is meant, else 0


@dataclass(frozen=True)
class FedAxes:
    """Distinct axes of a rank.

    Attributes:
        named: a row for each of them, in the order in which they are stated.
        kept: a row for each of the others, ascending.
    """

    named: tuple[Row, ...]
    kept: tuple[Row, ...]

    def selects(self, axis: int) -> Dim:
        """Whether axis is among them."""
        return sum((row[axis] for row in self.named), start=0)

    def without(self, shape: Shape) -> Shape:
        """shape without them."""
        return tuple(_picked(row, shape) for row in self.kept)

    def as_ones(self, shape: Shape) -> Shape:
        """shape with ones in their places."""
        return tuple(_or_one(self.selects(axis), size) for axis, size in enumerate(shape))

    def with_ones(self, shape: Shape) -> Shape:
        """As many more axes as these, of size 1, which stand where these say in the result."""
        rank = len(self.named) + len(self.kept)
        sizes = (
            (row[axis] * size for row, size in zip(self.kept, shape, strict=True)) for axis in range(rank)
        )
        return tuple(grouped(self.selects(axis) + sum(each, start=0)) for axis, each in enumerate(sizes))

    def moved_last(self, ctx: NodeContext, value: Value) -> Value:
        """value with them behind all others."""
        rows = (*self.kept, *self.named)
        shape = tuple(_picked(row, value.shape) for row in rows)
        return ctx.one("Permute", value, order=tuple(itertools.chain(*rows)), shape=shape)

    def moved_back(self, ctx: NodeContext, value: Value, shape: Shape) -> Value:
        """The inverse, which gives shape."""
        columns = zip(*self.kept, *self.named, strict=True)
        return ctx.one("Permute", value, order=tuple(itertools.chain(*columns)), shape=shape)


def fed_axes(ctx: NodeContext, stated: Sequence[Dim], rank: int) -> FedAxes:
    """Axes stated by dims; inputs that name one outside the rank, or one twice, are refused."""
    if len(stated) > rank:
        ctx.invalid(f"{len(stated)} axes of a tensor of rank {rank}")
    within = [less(-rank - 1, axis) * less(axis, rank) for axis in stated]
    ctx.require(product(within), f"its axes must lie in {-rank} to {rank - 1}")
    places = [mod(axis, rank) for axis in stated]
    apart = [1 - equal(a, b) for a, b in itertools.combinations(places, 2)]
    ctx.require(product(apart), "its axes must not repeat one")
    named = tuple(tuple(equal(place, axis) for axis in range(rank)) for place in places)
    # how many of the others lie before each axis
    others = [axis - sum((less(place, axis) for place in places), start=0) for axis in range(rank + 1)]
    kept = tuple(
        tuple(less(number, after) - less(number, before) for before, after in itertools.pairwise(others))
        for number in range(rank - len(named))
    )
    return FedAxes(named, kept)


def integers(dims: Sequence[Dim]) -> tuple[int, ...] | None:
    """The dims, if all are known."""
    known = tuple(dim for dim in dims if isinstance(dim, int))
    return known if len(known) == len(dims) else None


def _picked(row: Row, shape: Shape) -> Dim:
    """The size of the axis that a row means."""
    return grouped(sum((is_it * size for is_it, size in zip(row, shape, strict=True)), start=0))


def _or_one(condition: Dim, size: Dim) -> Dim:
    """1 where condition holds, else size."""
    return grouped(maximum((1 - condition) * size, 1) if at_least(size, 1) else choose(condition, 1, size))
