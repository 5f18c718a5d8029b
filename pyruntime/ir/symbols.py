"""The symbols of dims: which there are, and what a dim is with integers or other dims in their places.

Expressions are evaluated over 64-bit signed integers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pyruntime.ir.dims import Atom, Dim, Expr, apply, of_atom, symbol

_INT64 = 2**63


def _symbols(dim: Dim) -> Iterator[Atom]:
    """Each symbol in a dim, as often as it occurs."""
    pending = [dim]
    while pending:
        item = pending.pop()
        for atom in (a for monomial, _ in item.terms for a in monomial) if isinstance(item, Expr) else ():
            if atom.op:
                pending += atom.args
            else:
                yield atom


def symbols_of(dim: Dim) -> set[str]:
    """Names of all symbols in a dim."""
    return {atom.name for atom in _symbols(dim)}


def open_symbols(dim: Dim) -> set[str]:
    """Names of the sizes of inputs that may be empty: what is at least 0, and without end."""
    return {atom.name for atom in _symbols(dim) if atom.args == (0,)}


def occupied(dim: Dim) -> Dim:
    """dim with all sizes of inputs at least 1: for choices between forms, since any will do for nothing."""
    names = open_symbols(dim)
    return substitute(dim, {name: symbol(name) for name in names}) if names else dim


def replaced(dim: Dim, each: Callable[[Atom], Dim]) -> Dim:
    """dim with each of its atoms replaced by what `each` gives, which sees to the operands of operations."""
    if isinstance(dim, int):
        return dim
    total: Dim = 0
    for monomial, coefficient in dim.terms:
        term: Dim = coefficient
        for atom in monomial:
            term = term * each(atom)
        total = total + term
    return total


def substitute(dim: Dim, values: Mapping[str, Dim]) -> Dim:
    """dim with symbols replaced by other dims."""

    def each(atom: Atom) -> Dim:
        if not atom.op:
            return values.get(atom.name, of_atom(atom))
        a, b = (substitute(x, values) for x in atom.args)
        return apply(atom.op, a, b)

    return replaced(dim, each)


def evaluate(dim: Dim, values: Mapping[str, int]) -> int:
    """The integer that dim stands for. Raises KeyError for an unbound symbol, OverflowError past 64 bits."""
    if isinstance(dim, int):
        return dim
    total = 0
    for monomial, coefficient in dim.terms:
        term = coefficient
        for atom in monomial:
            if atom.op:
                a, b = (evaluate(x, values) for x in atom.args)
                result = apply(atom.op, a, b)
                assert isinstance(result, int)
                term *= result
            else:
                term *= values[atom.name]
        total += term
    if not -_INT64 <= total < _INT64:
        raise OverflowError(f"{dim} is outside 64 bits for {dict(values)}")
    return total
