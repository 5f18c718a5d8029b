"""Floats that are known as fractions of dims: constants, small inputs, sizes, and what becomes of these.

Exporters count sizes in floats, too, as in `Floor(Cast(size) * 0.7)`. A number that floats round is told from
one that they hold, and what is cut off is that of the rounded one.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np

from pyruntime.ir.dims import Dim, at_least, ceildiv, divides, floordiv, maximum, minimum
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Node, Value
from pyruntime.ir.ratio import Ratio
from pyruntime.ops.builder import dims_of
from pyruntime_converter.frontends.onnx.elements import MOST, moved
from pyruntime_converter.frontends.onnx.roundings import Operator, Rounding, is_exact, rounded


@dataclass(frozen=True)
class _Number:
    """A fraction, and how a float stands for it.

    Attributes:
        ratio: the number, before it is rounded where it is.
        how: whether the float is the fraction, the quotient of two sizes, or what a size and a constant give.
        constant: in the last case, after the operator, the latter; `size` is the former.
        dtype: in that case, the type that rounds.
        limited: sizes that may be no more than `LARGEST`.
    """

    ratio: Ratio
    how: Literal["exact", "quotient"] | Operator = "exact"
    size: Dim = 0
    constant: float = 1.0
    dtype: DType = DType.F32
    limited: tuple[Dim, ...] = ()

    @property
    def whole(self) -> bool:
        return self.how == "exact" and self.ratio.below == 1


Numbers = tuple[_Number, ...]


@dataclass(frozen=True)
class Known:
    """The elements of a tensor as fractions, if none of `limited`, sizes, is more than `LARGEST`."""

    ratios: tuple[Ratio, ...]
    limited: tuple[Dim, ...]


def ratios_of(value: Value, sources: Mapping[Value, Value], quotients: bool = False) -> Known | None:
    """The elements of a number tensor as fractions; None where data tell them, or they are rounded.

    Args:
        value: what has to be known.
        sources: for inputs of subgraphs, the values around that they stand for.
        quotients: take also what one operation on sizes gives, as it is before floats round it.
    """
    numbers = _Walk(sources).of(value)
    if numbers is None or not (quotients or all(n.how == "exact" for n in numbers)):
        return None
    return Known(tuple(n.ratio for n in numbers), _limited(numbers))


def truncated(value: Value, sources: Mapping[Value, Value]) -> Known | None:
    """The elements of a float tensor converted to integers, where they are known and not negative."""
    numbers = _Walk(sources).of(value)
    if numbers is None or not all(at_least(n.ratio.above, 0) for n in numbers):
        return None
    found = _cut(numbers, "Floor")
    return None if found is None else Known(tuple(n.ratio for n in found), _limited(found))


def _limited(numbers: Numbers) -> tuple[Dim, ...]:
    return tuple(dict.fromkeys(d for n in numbers for d in n.limited))


class _Walk:
    """What is known of values, each of which is looked at once."""

    def __init__(self, sources: Mapping[Value, Value]) -> None:
        self._sources = sources
        self._seen: dict[Value, Numbers | None] = {}

    def of(self, value: Value) -> Numbers | None:
        """The elements of a value; None where they are not known."""
        if value not in self._seen:
            self._seen[value] = self._found(value)
        return self._seen[value]

    def _found(self, value: Value) -> Numbers | None:
        if not isinstance(value.elements, int) or value.elements > MOST:
            return None
        if value.ratios is not None:
            return tuple(_Number(r) for r in value.ratios)
        if value.dtype.is_float and value.data is not None:
            numbers = [float(v) for v in value.data.flat]
            finite = all(map(math.isfinite, numbers))
            return tuple(_Number(Ratio(*n.as_integer_ratio())) for n in numbers) if finite else None
        dims = dims_of(value)
        if dims is not None:
            return tuple(_Number(Ratio(d, 1)) for d in dims)
        if value in self._sources:
            return self.of(self._sources[value])
        return None if value.producer is None else self._made(value.producer)

    def _made(self, node: Node) -> Numbers | None:
        """The only result of a node that leaves numbers as they are, or computes with few."""
        values = [v for v in node.inputs if v is not None]
        if node.op == "Decode":  # of the codes of a value of a type that kernels do not know
            codes = values[0].producer
            decoded = codes.input(0) if codes is not None and codes.op == "BitCast" else None
            same = decoded is not None and decoded.dtype is node.attrs["dtype"]
            return self.of(decoded) if decoded is not None and same else None
        if node.op == "Cast":
            (x,), to = values, node.attrs["to"]
            widens = to.is_float and (not x.dtype.is_float or x.dtype.bits <= to.bits)
            return self.of(x) if widens else None
        if node.op in ("Floor", "Ceil"):
            found = self.of(values[0])
            return None if found is None else _cut(found, cast(Rounding, node.op))
        if node.op in ("ReduceMax", "ReduceMin"):
            return self._extreme(node, values[0])
        if node.op in ("Mul", "Div"):
            return self._computed(node, values[0], values[1])
        return self._moved(node, values)

    def _computed(self, node: Node, x: Value, y: Value) -> Numbers | None:
        """A product or quotient of numbers that floats hold."""
        result = node.outputs[0]
        left, right = self.of(x), self.of(y)
        if left is None or right is None or result.dtype not in (DType.F32, DType.F64):
            return None
        shape = _fixed(result)
        places = [np.arange(math.prod(_fixed(v))).reshape(_fixed(v)) for v in (x, y)]
        pairs = zip(*(np.broadcast_to(p, shape).flat for p in places), strict=True)
        apply = _product if node.op == "Mul" else _quotient
        return _all([apply(left[i], right[j], result.dtype) for i, j in pairs])

    def _moved(self, node: Node, values: list[Value]) -> Numbers | None:
        places = moved(node)
        if places is None:
            return None
        found = [self.of(v) for v in values[: 1 + max((which for which, _ in places), default=-1)]]
        return _all([None if (numbers := found[which]) is None else numbers[at] for which, at in places])

    def _extreme(self, node: Node, x: Value) -> Numbers | None:
        """The largest or smallest of whole numbers."""
        found = self.of(x) if node.outputs[0].elements == 1 else None
        if not found or not all(n.whole for n in found):
            return None
        choose = maximum if node.op == "ReduceMax" else minimum
        made = functools.reduce(choose, (n.ratio.above for n in found))
        return (_Number(Ratio(made, 1), limited=_limited(found)),)


def _all(found: list[_Number | None]) -> Numbers | None:
    known = tuple(n for n in found if n is not None)
    return known if len(known) == len(found) else None


def _cut(numbers: Numbers, rounding: Rounding) -> Numbers | None:
    """Whole numbers next to others, as floats have these."""
    return _all([_whole(n, rounding) for n in numbers])


def _whole(number: _Number, rounding: Rounding) -> _Number | None:
    if number.how in ("Mul", "Div"):
        made = rounded(number.how, number.size, number.constant, number.dtype, rounding)
        return None if made is None else _Number(Ratio(made, 1), limited=(*number.limited, number.size))
    # a quotient of integers that floats hold is rounded to a whole number only where it is one
    above, below = number.ratio
    made = floordiv(above, below) if rounding == "Floor" else ceildiv(above, below)
    return _Number(Ratio(made, 1), limited=number.limited)


def _product(a: _Number, b: _Number, dtype: DType) -> _Number | None:
    """A size times a constant; None for others."""
    if isinstance(a.ratio.above, int):
        a, b = b, a
    (size, _), (above, below) = a.ratio, b.ratio
    if not a.whole or b.how != "exact" or not isinstance(above, int) or not isinstance(below, int):
        return None
    ratio, constant = Ratio(size * above, below), above / below
    if is_exact("Mul", constant, dtype):
        return _Number(_lowest(ratio), limited=(*a.limited, size))
    return _Number(ratio, "Mul", size, constant, dtype, a.limited) if above > 0 else None


def _quotient(a: _Number, b: _Number, dtype: DType) -> _Number | None:
    """A size over a constant or another size; None for others."""
    (size, _), (above, below) = a.ratio, b.ratio
    if not a.whole or b.how != "exact" or not at_least(above, 1):
        return None
    ratio, limited = _lowest(Ratio(size * below, above)), (*a.limited, *b.limited)
    if ratio.below == 1 and below == 1:
        return _Number(ratio, limited=limited)
    if not isinstance(above, int) or not isinstance(below, int):
        return _Number(ratio, "quotient", limited=limited) if below == 1 else None
    if is_exact("Div", above / below, dtype):
        return _Number(ratio, limited=limited)
    return _Number(ratio, "Div", size, above / below, dtype, limited)


def _lowest(ratio: Ratio) -> Ratio:
    """A fraction whose denominator goes where it divides the numerator."""
    return Ratio(floordiv(ratio.above, ratio.below), 1) if divides(ratio.below, ratio.above) else ratio


def _fixed(value: Value) -> tuple[int, ...]:
    return tuple(d for d in value.shape if isinstance(d, int))
