"""Broadcasting where sizes are unlike symbols: which is 1, if any, only the inputs tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pyruntime.ir.conditions import choose, equal
from pyruntime.ir.dims import Dim, at_least, maximum
from pyruntime.ir.graph import Shape

Require = Callable[[Dim, str], None]  # lets inputs be refused for which a condition does not hold


class Broadcasting:
    """Joins sizes pair by pair, and knows which were joined before.

    Two sizes may meet that are equal, or of which one is 1. What is not known to be so is left to a
    constraint, and the result's size is an expression; an operand of size 1 is read with a step of 0.

    Attributes:
        joined: what is known to broadcast to a size, replaced whenever more is.
    """

    def __init__(self, varies: Callable[[Dim], str]) -> None:
        self._varies = varies
        self.joined: Mapping[Dim, frozenset[Dim]] = {}

    def steps(self, own: Shape, shape: Shape) -> tuple[Dim, ...]:
        """By which one element along each axis comes after another where `own` broadcasts to a shape."""
        pairs = zip(own, shape[len(shape) - len(own) :], strict=True)
        return tuple(1 if dim in (1, size) else 1 - equal(dim, 1) for dim, size in pairs)

    def shape(self, shapes: Sequence[Shape], require: Require) -> Shape | None:
        """What these broadcast to; None where nothing that inputs tell lets them."""
        rank = max(len(s) for s in shapes)
        result: list[Dim] = [1] * rank
        before = self.joined
        conditions: list[tuple[Dim, str]] = []
        for shape in shapes:
            for axis, dim in enumerate(shape, rank - len(shape)):
                joined = self._join(result[axis], dim, conditions)
                if joined is None:
                    self.joined = before
                    return None
                result[axis] = joined
        for condition, reason in conditions:
            require(condition, reason)
        return tuple(result)

    def _join(self, one: Dim, other: Dim, conditions: list[tuple[Dim, str]]) -> Dim | None:
        if one == other or other == 1 or other in self.joined.get(one, ()):
            return one
        if one == 1 or one in self.joined.get(other, ()):
            return other
        first, second = sorted((one, other), key=_order)
        same = equal(first, second)
        fits = maximum(same, maximum(equal(first, 1), equal(second, 1)))
        if fits == 0 or self._varies(fits):
            return None
        whole = next((d for d in (first, second) if at_least(d, 2)), None)  # never the one that is repeated
        size = choose(equal(first, 1), second, first) if whole is None else whole
        known = self.joined.get(size, frozenset())
        if {first, second} <= known:
            return size
        self.joined = {**self.joined, size: known | {first, second}}
        reason = f"sizes {first} and {second} must be equal, or one of them 1"
        if isinstance(first, int):
            reason = f"a size of {second} must be {first} or 1"
        conditions.append((fits, reason))
        return size


def _order(dim: Dim) -> tuple[bool, str]:
    """Numbers first."""
    return not isinstance(dim, int), str(dim)
