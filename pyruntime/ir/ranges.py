"""The largest value of a dim over symbols that run through ranges, as the counters of loops do."""

from __future__ import annotations

from collections.abc import Mapping

from pyruntime.ir import dims
from pyruntime.ir.dims import Atom, Dim, Expr, at_least
from pyruntime.ir.symbols import symbols_of

Range = tuple[Dim, Dim]  # both inclusive; over other symbols


def largest(dim: Dim, ranges: Mapping[str, Range]) -> Dim | None:
    """A dim without the ranges' symbols that is never less than dim; None where none is known."""
    found = _range(dim, ranges)
    return None if found is None else found[1]


def _range(dim: Dim, ranges: Mapping[str, Range]) -> Range | None:
    """A range that dim stays in, over other symbols than those of `ranges`."""
    if symbols_of(dim).isdisjoint(ranges):
        return dim, dim
    assert isinstance(dim, Expr)
    low: Dim = 0
    high: Dim = 0
    for monomial, coefficient in dim.terms:
        least: Dim = coefficient
        most: Dim = coefficient
        for atom in monomial:
            factor = _atom_range(atom, ranges)
            if factor is None or (len(monomial) > 1 and not at_least(factor[0], 0)):
                return None
            least, most = least * factor[0], most * factor[1]
        low, high = (low + least, high + most) if coefficient > 0 else (low + most, high + least)
    return low, high


def _atom_range(atom: Atom, ranges: Mapping[str, Range]) -> Range | None:
    if not atom.op:
        if atom.name not in ranges:
            return dims.of_atom(atom), dims.of_atom(atom)
        ends = [
            _range(end, ranges) for end in ranges[atom.name]
        ]  # an inner loop's may hang on an outer counter
        if ends[0] is None or ends[1] is None:
            return None
        least, _ = atom.bounds
        return ends[0][0] if least is None else dims.maximum(ends[0][0], least), ends[1][1]
    a, b = (_range(x, ranges) for x in atom.args)
    if a is None or b is None:
        return None
    if atom.op in ("min", "max"):
        return dims.apply(atom.op, a[0], b[0]), dims.apply(atom.op, a[1], b[1])
    if not at_least(b[0], 1) or (b[0] != b[1] and not at_least(a[0], 0)):
        return None
    return (0, b[1] - 1) if atom.op == "%" else (a[0] // b[1], a[1] // b[0])
