"""Broadcasting where sizes are unlike symbols: which is 1, if any, only the inputs tell."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

from pyruntime.ir.conditions import equal
from pyruntime.ir.dims import Dim, at_least, maximum, minimum
from pyruntime.ir.graph import Shape

Require = Callable[[Dim, str], None]  # lets inputs be refused for which a condition does not hold

_LARGEST = 1 << 31  # more than any size


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
        within = frozenset({first, second}).union(*(self.joined.get(d, ()) for d in (first, second)))
        whole = next((d for d in (first, second) if at_least(d, 2)), None)  # never the one that is repeated
        size = _joint(within - self.joined.keys()) if whole is None else whole
        known = self.joined.get(size, frozenset())
        if {first, second} <= known:
            return size
        reason = f"sizes {self._told(first)} and {self._told(second)} must be equal, or one of them 1"
        if isinstance(first, int):
            reason = f"a size of {second} must be {first} or 1"
        conditions.append((fits, reason))
        self.joined = {**self.joined, size: known | within - {size}}
        return size

    def _told(self, size: Dim) -> str:
        """A size as messages have it."""
        parts = () if at_least(size, 2) else self.joined.get(size, frozenset()) - self.joined.keys()
        return f"the largest of {', '.join(sorted(map(str, parts)))}" if parts else str(size)


def _joint(sizes: Iterable[Dim]) -> Dim:
    """What sizes broadcast to that are alike but for ones: the largest of them, or 0 if that is one of them.

    It is written without a choice, which would have each size several times, and those of joint sizes again.
    """
    each = sorted(sizes, key=_order)
    return minimum(functools.reduce(maximum, each), functools.reduce(minimum, each) * _LARGEST)


def _order(dim: Dim) -> tuple[bool, str]:
    """Numbers first."""
    return not isinstance(dim, int), str(dim)
