"""What inputs are refused for while a graph is made, and what sizes that leaves them."""

from __future__ import annotations

from collections.abc import Container

from pyruntime.ir.conditions import less
from pyruntime.ir.dims import Dim, at_least, symbol
from pyruntime.ir.graph import Constraint, Graph
from pyruntime.ir.symbols import substitute, symbols_of
from pyruntime.ops.builder import Builder
from pyruntime_converter.frontends.onnx.assumptions import Assumptions, Least
from pyruntime_converter.frontends.onnx.symbols import sizes_of

MAX_LEAST = 64  # of `Assumptions.least`: each conversion may tell more
LARGEST_LEAST = 1 << 24


class Refusals:
    """States the constraints of a model's graph.

    Args:
        graph: it, with its inputs.
        assumptions: what it is made under; what they refuse is stated first.
        told: names of sizes of which nothing is learnt.

    Attributes:
        learnt: what is known of sizes beyond the assumptions, so that the model is better converted anew.
    """

    def __init__(self, graph: Graph, assumptions: Assumptions, told: Container[str]) -> None:
        self._graph, self._known = graph, assumptions.least_sizes
        self._full = len(assumptions.least) >= MAX_LEAST
        self._sizes = {name for name in map(str, sizes_of(graph)) if name not in told}
        self.learnt: list[Least] = []
        for known in assumptions.least:
            self._state(known.refusal)

    def certain(self, builder: Builder) -> bool:
        """Whether what a builder makes runs whenever the model does."""
        return builder.graph is self._graph

    def require(self, condition: Dim, reason: str) -> None:
        """Let inputs be refused for which a condition does not hold."""
        self._state(Constraint(condition, reason))

    def require_room(self, builder: Builder, room: Dim, reason: str) -> None:
        """Let inputs be refused for which a dim is negative, as what a builder makes asks for."""
        refusal = Constraint(1 - less(room, 0), reason)
        self._state(refusal)
        if self.certain(builder):  # what a branch asks for may be removed again
            self._learn(room, refusal)

    def _state(self, made: Constraint) -> None:
        # what an earlier conversion stated has symbols with other bounds, but the same text
        stated = (str(c.value) == str(made.value) for c in self._graph.constraints if c.reason == made.reason)
        if made.value != 1 and not any(stated):
            self._graph.constraints.append(made)

    def _learn(self, room: Dim, refusal: Constraint) -> None:
        """Note what sizes of an input are refused since they leave no room, if these are the least ones."""
        names = symbols_of(room)
        if len(names) != 1 or not names <= self._sizes or self._full:
            return
        (name,) = names
        known = self._known.get(name, 1)
        size = least_size(room, name, known)
        if size > max([known, *(learnt.size for learnt in self.learnt if learnt.name == name)]):
            self.learnt.append(Least(name, size, refusal))


def least_size(room: Dim, name: str, known: int) -> int:
    """The least size of this name, at least `known`, for which room may be not negative.

    For all from `known` up to it room is certainly negative, whatever else is in it.
    """

    def refused(most: int) -> bool:
        return at_least(-1, substitute(room, {name: symbol(name, (known, most))}))

    low, high = known - 1, known
    while refused(high):
        low, high = high, 2 * high
        if high > LARGEST_LEAST:
            return known  # no size leaves room, as far as is known
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if refused(middle) else (low, middle)
    return high
