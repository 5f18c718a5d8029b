"""Conditions over dims, as dims that are 1 where they hold and 0 where not, and what follows from them.

They are made of the operators that every dim is made of, so that packs and runtimes need nothing new, and
are decided at once where bounds decide them.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyruntime.ir import dims
from pyruntime.ir.dims import Atom, Dim, Expr, at_least, bounds, maximum, minimum
from pyruntime.ir.symbols import replaced

Facts = Mapping[Atom, int]  # atoms whose values are known


def equal(a: Dim, b: Dim) -> Dim:
    """a == b."""
    if at_least(a, b + 1) or at_least(b, a + 1):
        return 0
    return 1 - minimum(1, maximum(a - b, b - a))


def less(a: Dim, b: Dim) -> Dim:
    """a < b."""
    return maximum(0, minimum(1, b - a))


def truth(a: Dim) -> Dim:
    """a != 0."""
    return a if at_least(a, 0) and at_least(1, a) else 1 - equal(a, 0)


def choose(condition: Dim, a: Dim, b: Dim) -> Dim:
    """a where condition holds, else b."""
    if isinstance(condition, int):
        return a if condition else b
    return b + condition * (a - b)


def assume(dim: Dim, facts: Facts) -> Dim:
    """dim with the atoms that facts know replaced by their values."""
    return replaced(dim, lambda atom: _assumed(atom, facts)) if facts else dim


def _assumed(atom: Atom, facts: Facts) -> Dim:
    if atom in facts:
        return facts[atom]
    if not atom.op:
        return dims.of_atom(atom)
    made = dims.apply(atom.op, *(assume(a, facts) for a in atom.args))
    if isinstance(made, Expr) and made.is_atom:  # with its operands replaced it may be known after all
        return facts.get(made.terms[0][0][0], made)
    return made


def pins(dim: Dim, value: int) -> dict[Atom, int] | None:
    """Atoms that must have one value where dim has this one; None where dim never has it."""
    low, high = bounds(dim)
    if (low is not None and value < low) or (high is not None and value > high):
        return None
    terms = [(m, c) for m, c in dim.terms if m] if isinstance(dim, Expr) else []
    if len(terms) != 1 or len(terms[0][0]) != 1:
        return {}
    ((atom,), coefficient) = terms[0]
    assert isinstance(dim, Expr)
    constant = sum(c for m, c in dim.terms if not m)
    quotient, rest = divmod(value - constant, coefficient)
    if rest:
        return None
    behind = _behind(atom, quotient)
    return None if behind is None else {atom: quotient, **behind}


def _behind(atom: Atom, value: int) -> dict[Atom, int] | None:
    """What an atom's value says of its operands."""
    if atom.op in ("min", "max"):
        for one, other in (atom.args, atom.args[::-1]):
            if at_least(other, value + 1) if atom.op == "min" else at_least(value - 1, other):
                return pins(one, value)
        if value == 0 and atom.op == "max" and sum(atom.args, start=0) == 0:  # the magnitude of a difference
            return pins(atom.args[0], 0)
    return {}


def signed(dim: Dim) -> bool:
    """Whether dim has a symbol that is no size, but may be zero or negative, as contents of inputs may."""
    atoms = [a for m, _ in dim.terms for a in m] if isinstance(dim, Expr) else []
    return any(any(map(signed, a.args)) if a.op else len(a.args) == 2 and a.bounds[0] != 1 for a in atoms)


def sized(dim: Dim) -> bool:
    """Whether all symbols of a dim are sizes, or stay in the range that sizes have."""
    atoms = [a for m, _ in dim.terms for a in m] if isinstance(dim, Expr) else []
    return all(all(map(sized, a.args)) if a.op else _is_size(a) for a in atoms)


def _is_size(symbol: Atom) -> bool:
    low, high = symbol.bounds
    return low is not None and low >= 0 and (len(symbol.args) < 2 or (high is not None and high < 2**31))
