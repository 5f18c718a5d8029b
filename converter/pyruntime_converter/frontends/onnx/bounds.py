"""Bounds of numbers that are computed of a few known ones: room for as many results, whatever a run gives."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from pyruntime.ir.conditions import equal, less
from pyruntime.ir.dims import Dim, Expr, at_least, ceildiv, floordiv, maximum, minimum, product
from pyruntime.ir.graph import Node, Value
from pyruntime.ir.ratio import Ratio
from pyruntime_converter.frontends.onnx.elements import MOST as MOST_ELEMENTS
from pyruntime_converter.frontends.onnx.elements import traced
from pyruntime_converter.frontends.onnx.ratios import ratios_of

_MOST = 2**31 - 1
_PRODUCT = 2**48  # the Wasm module counts to 2^50
_KEPT = 8  # bounds of one number: any of them holds
_LARGEST = 8  # factors of a term, and terms, of what is counted with: more than any real size has
_KEEP = frozenset({"Abs", "Cast", "Floor", "Neg", "Relu", "Trunc"})
_ROUND_UP = frozenset({"Ceil", "Round"})


@dataclass(frozen=True)
class _Bound:
    """What the magnitude of a number never exceeds: any of these fractions.

    Attributes:
        least: the fractions.
        positive: whether the number is never less than 0.
    """

    least: tuple[Ratio, ...]
    positive: bool


def bound_of(value: Value, sources: Mapping[Value, Value], at: int = 0) -> tuple[Dim, Dim] | None:
    """What a number never exceeds, and the condition (0 or 1) under which that holds.

    None where other than small inputs and sizes decide it, or other than a few operators.

    Args:
        value: where the number is.
        sources: for inputs of subgraphs, the values around that they stand for.
        at: which of the elements it is.
    """
    if not isinstance(value.elements, int) or not at < value.elements <= MOST_ELEMENTS:
        return None
    conditions: list[Dim] = []
    found = _Bounds(sources, conditions).of(value, at)
    if found is None:
        return None
    most = functools.reduce(minimum, (ceildiv(above, below) for above, below in found.least))
    # exact but for rounding, of which the few operators have no more than that even in bfloat16
    most = most + floordiv(most, 32) + 1
    return most, product([less(most, _MOST), *conditions])


class _Bounds:
    def __init__(self, sources: Mapping[Value, Value], conditions: list[Dim]) -> None:
        self._sources, self._conditions = sources, conditions
        self._seen: dict[tuple[Value, int], _Bound | None] = {}

    def of(self, value: Value, at: int) -> _Bound | None:
        """The bound of an element, each of which is looked at once."""
        value, at = traced(value, at, self._sources)
        if (value, at) not in self._seen:
            self._seen[value, at] = self._found(value, at)
        return self._seen[value, at]

    def _found(self, value: Value, at: int) -> _Bound | None:
        known = ratios_of(value, self._sources)
        if known is not None:
            above, below = known.ratios[at]
            return _Bound((Ratio(maximum(above, -above), below),), at_least(above, 0))
        if value.producer is None or value.producer.subgraphs:
            return None
        return self._made(value.producer, at)

    def _made(self, node: Node, at: int) -> _Bound | None:
        operands = [v for v in node.inputs if v is not None]
        if not operands:
            return None
        if node.op == "Reciprocal":
            return self._quotient(_Bound((Ratio(1, 1),), True), operands[0], at)
        places = [_broadcast(v, node.outputs[0], at) for v in operands]
        if None in places or node.op not in _KEEP | _ROUND_UP | {"Div"} | _PAIRS.keys():
            return None
        found = self.of(operands[0], places[0] or 0)
        if found is None:
            return None
        if node.op in _KEEP:
            return _Bound(found.least, node.op in ("Abs", "Relu") or (found.positive and node.op != "Neg"))
        if node.op in _ROUND_UP:
            return _Bound(tuple(Ratio(r.above + r.below, r.below) for r in found.least), found.positive)
        if node.op == "Div":
            return self._quotient(found, operands[1], places[1] or 0)
        other = self.of(operands[1], places[1] or 0)
        return None if other is None else _PAIRS[node.op](self, found, other)

    def _each(
        self, a: _Bound, b: _Bound, apply: Callable[[Ratio, Ratio], Ratio], positive: bool
    ) -> _Bound | None:
        """A bound by each bound of one number and each of another, whose products are counted exactly."""
        made = []
        for one in a.least:
            for other in b.least:
                for left, right in (
                    (one.above, other.above),
                    (one.above, other.below),
                    (one.below, other.above),
                ):
                    if not isinstance(left, int) or not isinstance(right, int):
                        self._conditions.append(less(left, floordiv(_PRODUCT, maximum(right, 1))))
                made.append(apply(one, other))
        made = [r for r in made if _is_short(r.above) and _is_short(r.below)][:_KEPT]
        return _Bound(tuple(made), positive) if made else None

    def product(self, a: _Bound, b: _Bound) -> _Bound | None:
        return self._each(
            a, b, lambda x, y: Ratio(x.above * y.above, x.below * y.below), a.positive and b.positive
        )

    def sum(self, a: _Bound, b: _Bound) -> _Bound | None:
        return self._each(
            _whole(a),
            _whole(b),
            lambda x, y: Ratio(x.above * y.below + y.above * x.below, x.below * y.below),
            a.positive and b.positive,
        )

    def difference(self, a: _Bound, b: _Bound) -> _Bound | None:
        found = self.sum(a, b)
        return None if found is None else _Bound(found.least, False)

    def smaller(self, a: _Bound, b: _Bound) -> _Bound | None:
        """Of two numbers that are not negative either bounds the smaller one."""
        return _Bound((*a.least, *b.least)[:_KEPT], True) if a.positive and b.positive else self.sum(a, b)

    def _quotient(self, a: _Bound, divisor: Value, at: int) -> _Bound | None:
        known = ratios_of(divisor, self._sources)
        if known is None:
            return None
        above, below = known.ratios[at]
        self._conditions.append(1 - equal(above, 0))
        size = maximum(maximum(above, -above), 1)
        return self._each(
            _whole(a),
            _Bound((Ratio(below, size),), at_least(above, 0)),
            lambda x, y: Ratio(x.above * y.above, x.below * y.below),
            a.positive and at_least(above, 0),
        )


_PAIRS: Mapping[str, Callable[[_Bounds, _Bound, _Bound], _Bound | None]] = {
    "Add": _Bounds.sum,
    "Sub": _Bounds.difference,
    "Mul": _Bounds.product,
    "Min": _Bounds.smaller,
}


def _whole(bound: _Bound) -> _Bound:
    """The bound by whole numbers where fed numbers decide fractions, which may be as long as floats are."""
    rounded = (r if isinstance(r.below, int) else Ratio(ceildiv(r.above, r.below), 1) for r in bound.least)
    return _Bound(tuple(rounded), bound.positive)


def _is_short(dim: Dim) -> bool:
    """Whether a dim stays small enough to be counted with."""
    terms = dim.terms if isinstance(dim, Expr) else ()
    return len(terms) <= _LARGEST and all(len(factors) <= _LARGEST for factors, _ in terms)


def _broadcast(operand: Value, result: Value, at: int) -> int | None:
    """Which element of an operand goes into an element of an elementwise result."""
    shapes = [v.shape for v in (operand, result)]
    if not all(isinstance(d, int) for shape in shapes for d in shape):
        return None
    own, whole = (tuple(d for d in shape if isinstance(d, int)) for shape in shapes)
    if len(own) > len(whole):
        return None
    places = np.broadcast_to(np.arange(math.prod(own)).reshape(own), whole)
    return int(places.flat[at])
