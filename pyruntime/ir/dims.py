"""Tensor dimensions as integers or small integer expressions over named symbols, in one canonical form.

An expression is a polynomial with integer coefficients over atoms; an atom is a symbol, or a floordiv,
mod, min or max of dims. Equal polynomials compare equal, so `2*b*3 == 6*b` and `(b*6)//3 == b*2`.
Symbols stand for positive integers unless they are made with other bounds; what puts values in their
places is in `ir.symbols`.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

OPERATORS = ("+", "-", "*", "//", "%", "min", "max")
_RELAXED = 4  # operations that a proof of at_least looks into


@dataclass(frozen=True, order=True)
class Atom:
    """A symbol (`op` empty, `args` its bounds, where they are not 1 and none) or an operation on two dims."""

    name: str
    op: str = ""
    args: tuple[Dim, ...] = ()

    def __repr__(self) -> str:
        if not self.op:
            return self.name
        a, b = (str(x) if isinstance(x, int) or x.is_atom else f"({x})" for x in self.args)
        return f"{self.op}({a}, {b})" if self.op in ("min", "max") else f"{a}{self.op}{b}"

    @functools.cached_property
    def key(self) -> tuple[str, ...]:
        """Sorts atoms the same way in every run."""
        return (self.name, self.op, *(repr(a) for a in self.args))

    @functools.cached_property
    def bounds(self) -> Bounds:
        """The least and the largest value, as `bounds` tells; kept, since operands are shared many times."""
        return _atom_bounds(self)


Monomial = tuple[Atom, ...]
Term = tuple[Monomial, int]  # a product of atoms, and its coefficient


class Expr:
    """A polynomial over atoms that is not a plain integer; immutable and hashable."""

    __slots__ = ("_hash", "terms")
    terms: tuple[Term, ...]

    def __init__(self, terms: tuple[Term, ...]) -> None:
        self.terms = terms
        self._hash = hash(terms)

    @property
    def is_atom(self) -> bool:
        """Whether this is a single symbol or operation, with coefficient one."""
        return len(self.terms) == 1 and self.terms[0][1] == 1 and len(self.terms[0][0]) == 1

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expr) and self.terms == other.terms

    def __add__(self, other: Dim) -> Dim:
        return _build([*self.terms, *_terms(other)])

    __radd__ = __add__

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: Dim) -> Dim:
        return self + (other * -1)

    def __rsub__(self, other: Dim) -> Dim:
        return -self + other

    def __mul__(self, other: Dim) -> Dim:
        return _build(
            [
                (tuple(sorted(m + n, key=lambda a: a.key)), c * d)
                for m, c in self.terms
                for n, d in _terms(other)
            ]
        )

    __rmul__ = __mul__

    def __floordiv__(self, other: Dim) -> Dim:
        return floordiv(self, other)

    def __rfloordiv__(self, other: Dim) -> Dim:
        return floordiv(other, self)

    def __mod__(self, other: Dim) -> Dim:
        return mod(self, other)

    def __rmod__(self, other: Dim) -> Dim:
        return mod(other, self)

    def __repr__(self) -> str:
        parts = []
        for monomial, coefficient in self.terms:
            factors = [str(a) if not a.op or a.op in ("min", "max") else f"({a})" for a in monomial]
            if coefficient != 1 or not factors:
                factors.insert(0, str(coefficient))
            parts.append("*".join(factors))
        return " + ".join(parts).replace("+ -", "- ")


Dim = int | Expr


def _terms(dim: Dim) -> tuple[Term, ...]:
    if isinstance(dim, Expr):
        return dim.terms
    return (((), int(dim)),) if dim else ()


def _build(terms: Sequence[Term]) -> Dim:
    total: dict[Monomial, int] = {}
    for monomial, coefficient in terms:
        total[monomial] = total.get(monomial, 0) + coefficient
    kept = [(m, c) for m, c in total.items() if c]
    if not kept:
        return 0
    if len(kept) == 1 and not kept[0][0]:
        return kept[0][1]
    # highest degree first, constants last: reads as one would write it
    kept.sort(key=lambda t: (-len(t[0]), [a.key for a in t[0]]))
    return Expr(tuple(kept))


def symbol(name: str, bounds: tuple[int, int | None] | None = None) -> Dim:
    """An integer known only at run time: within bounds (both inclusive, None for no end), else positive.

    Characters of the name outside [A-Za-z0-9_] become `_`.
    """
    clean = re.sub(r"\W", "_", name, flags=re.ASCII) or "_"
    if clean[0].isdigit() or clean in OPERATORS:
        clean = f"_{clean}"
    return of_atom(Atom(clean, args=tuple(end for end in bounds or () if end is not None)))


def of_atom(atom: Atom) -> Dim:
    """The dim that is an atom."""
    return Expr((((atom,), 1),))


def _operation(op: str, a: Dim, b: Dim) -> Dim:
    return Expr((((Atom("", op, (a, b)),), 1),))


def floordiv(a: Dim, b: Dim) -> Dim:
    """a // b, rounding towards minus infinity; whole multiples of b leave the floor."""
    if isinstance(b, int):
        return _floordiv_int(a, b)
    if a == b:
        return 1
    quotient, rest = _divide(a, b)
    if rest == 0:
        return quotient
    if quotient != 0:
        return quotient + floordiv(rest, b)
    return 0 if _below(a, b) else _operation("//", a, b)


def _floordiv_int(a: Dim, b: int) -> Dim:
    if b == 0:
        raise ZeroDivisionError("dimension divided by zero")
    if isinstance(a, int):
        return a // b
    if b < 0:
        a, b = -a, -b
    # (b*6 + 4)//3 = b*2 + 1 + 1//3
    quotient, rest = _reduce(a, b)
    if isinstance(rest, int):
        return quotient
    # (2*n + 1)//4 = n//2
    common = math.gcd(b, *(c for m, c in rest.terms if m))
    rest, b = _build([(m, c // common) for m, c in rest.terms]), b // common
    if b == 1:
        return quotient + rest
    # (n//2 + 1)//3 = (n + 2)//6
    for atom, shift in _single_atoms(rest):
        inner, divisor = atom.args if atom.op == "//" else (0, 0)
        if isinstance(divisor, int) and divisor > 0:
            return quotient + floordiv(inner + shift * divisor, b * divisor)
    return quotient if _below(rest, b) else quotient + _operation("//", rest, b)


def mod(a: Dim, b: Dim) -> Dim:
    """a mod b with the sign of b, as Python's %."""
    if isinstance(b, int):
        return _mod_int(a, b)
    if a == b:
        return 0
    quotient, rest = _divide(a, b)
    if rest == 0:
        return 0
    if quotient != 0:
        return mod(rest, b)
    return a if _below(a, b) else _operation("%", a, b)


def _mod_int(a: Dim, b: int) -> Dim:
    if b == 0:
        raise ZeroDivisionError("dimension divided by zero")
    if isinstance(a, int):
        return a % b
    if b < 0:
        return mod(-a, -b) * -1
    _, rest = _reduce(a, b)
    return rest if isinstance(rest, int) or _below(rest, b) else _operation("%", rest, b)


def _reduce(a: Dim, b: int) -> tuple[Dim, Dim]:
    """q and r with a = q*b + r: r's constant is in [0, b), its coefficients in (-b, b)."""
    quotient = _build([(m, -(-c // b) if m and c < 0 else c // b) for m, c in _terms(a)])
    return quotient, a - quotient * b


def _single_atoms(dim: Dim) -> list[tuple[Atom, int]]:
    """[(atom, constant)] where dim is one atom plus a constant, else []."""
    parts = [(m, c) for m, c in _terms(dim) if m]
    constant = sum(c for m, c in _terms(dim) if not m)
    return [(m[0], constant) for m, c in parts if len(parts) == 1 and len(m) == 1 and c == 1]


def _below(a: Dim, b: Dim) -> bool:
    """Whether 0 <= a < b is certain."""
    return at_least(a, 0) and at_least(b, a + 1)


def _divide(a: Dim, b: Dim) -> tuple[Dim, Dim]:
    """Quotient of the terms that b divides exactly, and the others; by a sum of terms all or nothing."""
    divisor = _terms(b)
    if len(divisor) != 1:
        return _divide_whole(a, b)
    quotient: list[Term] = []
    rest: list[Term] = []
    for term in _terms(a):
        divided = _divide_term(term, divisor[0])
        if divided is None:
            rest.append(term)
        else:
            quotient.append(divided)
    return _build(quotient), _build(rest)


def _divide_term(term: Term, divisor: Term) -> Term | None:
    """The quotient of two terms, if it is one."""
    (remaining, coefficient), (monomial, by) = (list(term[0]), term[1]), divisor
    if coefficient % by:
        return None
    for atom in monomial:
        if atom not in remaining:
            return None
        remaining.remove(atom)
    return tuple(remaining), coefficient // by


def _divide_whole(a: Dim, b: Dim) -> tuple[Dim, Dim]:
    """As `_divide` by a sum of terms, by long division: (6*n*m - 6*m) // (2*n - 2) is 3*m."""
    atoms = sorted({atom for m, _ in _terms(b) for atom in m}, key=lambda atom: atom.key)

    def lead(dim: Dim) -> Term:
        return max(_terms(dim), key=lambda term: [term[0].count(atom) for atom in atoms])

    quotient: Dim = 0
    rest = a
    while isinstance(rest, Expr) and len(rest.terms) <= len(_terms(a)):
        divided = _divide_term(lead(rest), lead(b))
        if divided is None:
            break
        part = _build([divided])
        quotient, rest = quotient + part, rest - part * b
    return (quotient, 0) if rest == 0 else (0, a)


def ceildiv(a: Dim, b: Dim) -> Dim:
    """a / b rounded up; a symbolic b is positive."""
    if isinstance(b, int) and b < 0:
        a, b = -a, -b
    if isinstance(a, int) and isinstance(b, int):
        return -(-a // b)
    return floordiv(a + b - 1, b) if not divides(b, a) else floordiv(a, b)


def align(a: Dim, to: int) -> Dim:
    """a rounded up to a multiple of `to`."""
    return ceildiv(a, to) * to


def divides(divisor: Dim, dim: Dim) -> bool:
    """Whether dim is known to be a multiple of divisor."""
    if isinstance(divisor, int) and isinstance(dim, int):
        return divisor != 0 and dim % divisor == 0
    return divisor != 0 and _divide(dim, divisor)[1] == 0


def at_least(a: Dim, b: Dim) -> bool:
    """Whether a >= b is certain, given the symbols' bounds. False where it is not known."""
    return _above(a - b, 1, _RELAXED)


def _above(dim: Dim, scale: int, most: int) -> bool:
    """Whether dim > -scale is certain; up to `most` operations are replaced by what they are no less than.

    An integer that is more than -1 is at least 0, so that floors, which take away less than 1, may become
    quotients: 2*((n + 3)//4) - (n + 1)//2, four times, is at least 2*n - 2*(n + 1).
    """
    low, _ = bounds(dim)
    if low is not None and low > -scale:
        return True
    for monomial, coefficient in _terms(dim) if most else ():
        factor, least = _least(monomial[0], coefficient) if len(monomial) == 1 else (1, [])
        if least:
            rest = (dim - of_atom(monomial[0]) * coefficient) * factor
            return any(_above(rest + other, scale * factor, most - 1) for other in least)
    return False


def _least(atom: Atom, coefficient: int) -> tuple[int, list[Dim]]:
    """A factor, and what the factor times the coefficient times an operation is no less than."""
    a, b = atom.args if atom.op else (0, 0)
    if atom.op == "//" and isinstance(b, int) and b > 0:
        return b, [(a - (b - 1 if coefficient > 0 else 0)) * coefficient]
    if atom.op == ("max" if coefficient > 0 else "min"):
        return 1, [a * coefficient, b * coefficient]
    return 1, []


Bounds = tuple[int | None, int | None]


def bounds(dim: Dim) -> Bounds:
    """The least and the largest value that dim can have, as far as is known; None for no bound."""
    low: int | None = 0
    high: int | None = 0
    for monomial, coefficient in _terms(dim):
        a, b = _product_bounds([atom.bounds for atom in monomial])
        ends = (a, b) if coefficient > 0 else (b, a)
        low, high = (
            None if total is None or end is None else total + end * coefficient
            for total, end in zip((low, high), ends, strict=True)
        )
    return low, high


def _product_bounds(factors: Sequence[Bounds]) -> Bounds:
    low: int | None = 1
    high: int | None = 1
    for a, b in factors:
        if a is None or low is None or a < 0:
            return factors[0] if len(factors) == 1 else (None, None)
        low = low * a
        high = None if high is None or b is None else high * b
    return low, high


def _atom_bounds(atom: Atom) -> Bounds:
    if not atom.op:
        low, high = (*atom.args, None)[:2] if atom.args else (1, None)
        assert isinstance(low, int)
        assert high is None or isinstance(high, int)
        return low, high
    (a, b), (c, d) = (bounds(x) for x in atom.args)
    lows, highs = [x for x in (a, c) if x is not None], [x for x in (b, d) if x is not None]
    total = _constant_sum(*atom.args) if atom.op in ("min", "max") else None
    match atom.op:
        case "min":
            halves = [] if total is None else [total // 2]
            return min(lows) if len(lows) == 2 else None, min(highs + halves, default=None)
        case "max":
            halves = [] if total is None else [-(-total // 2)]
            return max(lows + halves, default=None), max(highs) if len(highs) == 2 else None
    if c is None or c < 1:
        return None, None
    if atom.op == "%":
        return 0, None if d is None else d - 1
    # a larger divisor brings the quotient nearer to 0, or from below to -1
    extremes = [[x // c, (0 if x >= 0 else -1) if d is None else x // d] for x in (a, b) if x is not None]
    return None if a is None else min(extremes[0]), None if b is None else max(extremes[-1])


def _constant_sum(a: Dim, b: Dim) -> int | None:
    """a + b where that is no expression; most often it is one, and then is not made."""
    symbolic = [sum(bool(m) for m, _ in _terms(x)) for x in (a, b)]
    total = a + b if symbolic[0] == symbolic[1] else None
    return total if isinstance(total, int) else None


def maximum(a: Dim, b: Dim) -> Dim:
    """The larger of two dims."""
    if at_least(a, b):
        return a
    if at_least(b, a):
        return b
    return _operation("max", *sorted((a, b), key=repr))


def minimum(a: Dim, b: Dim) -> Dim:
    """The smaller of two dims."""
    if at_least(a, b):
        return b
    if at_least(b, a):
        return a
    return _operation("min", *sorted((a, b), key=repr))


def grouped(dim: Dim) -> Dim:
    """A dim that is at least 0, as one atom if it is a sum: products of sums grow without bound."""
    if isinstance(dim, int) or len(dim.terms) == 1:
        return dim
    operands: list[Dim] = [0, dim]
    return _operation("max", *sorted(operands, key=repr))


def product(dims: Sequence[Dim]) -> Dim:
    """The product of dims; 1 for none."""
    total: Dim = 1
    for dim in dims:
        total = total * dim
    return total


def apply(op: str, a: Dim, b: Dim) -> Dim:
    """The dim that an operator of `OPERATORS` makes of two."""
    match op:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
        case "//":
            return floordiv(a, b)
        case "%":
            return mod(a, b)
        case "min":
            return minimum(a, b)
        case _:
            return maximum(a, b)
