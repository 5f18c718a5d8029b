"""Numbers in text that every target must read: what is between two, all types, layouts, symbols."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

from pyruntime.ir.dims import symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.numerals import Numerals
from pyruntime.ir.strings import encode
from pyruntime.ops.numerals import FORMATS, INTEGERS, limits
from tests.kernels.case import Case, Maker

F32, F64, U8 = DType.F32, DType.F64, DType.U8
_ALPHABET = "0123456789" * 3 + "+-.eE nN\xe9"


def _case(
    name: str,
    strings: Sequence[str],
    to: DType,
    *,
    odd: bool = False,
    turned: bool = False,
    dynamic: bool = False,
) -> Case:
    data, width = encode(strings)
    rows = len(strings)
    maker = Maker({"rows": rows, "width": width} if dynamic else {})
    sizes = (symbol("rows"), symbol("width")) if dynamic else (rows, width)
    x = maker.permuted(sizes, (1, 0) if turned else (0, 1), U8)
    matrix = np.frombuffer(data, np.uint8).reshape(rows, width)
    maker.inputs[x.tensor] = (matrix.T if turned else matrix).ravel()
    words = -(-to.bits // 32)
    call = Numerals(
        name=name,
        output=maker.output((sizes[0], words), DType.U32),
        rows=sizes[0],
        width=sizes[1],
        to=to,
        odd=odd,
        x=x,
    )
    return Case(name, call, maker.inputs, maker.symbols)


def _exact(value: float | Fraction) -> str:
    """All digits of a number that is a sum of powers of two."""
    value = Fraction(value)
    places = value.denominator.bit_length() - 1
    digits = str(abs(value.numerator) * 5**places).rjust(places + 1, "0")
    whole, part = digits[: len(digits) - places], digits[len(digits) - places :]
    return f"{'-' if value < 0 else ''}{whole}.{part}"


def edges(to: DType, count: int) -> list[str]:
    """Midpoints of neighbours with all their digits, a little more and less, and plain numbers."""
    form, rng = FORMATS[to], np.random.default_rng(to.bits)
    bits = 32 * form.words
    found = []
    for code in [*rng.integers(0, (1 << bits - 1) - (1 << form.precision), count).tolist(), 0, 1, 2]:
        layout = "If" if bits == 32 else "Qd"
        low, high = (struct.unpack(layout[1], struct.pack(layout[0], code + i))[0] for i in (0, 1))
        middle, gap = (Fraction(low) + Fraction(high)) / 2, Fraction(high) - Fraction(low)
        more = f"{_exact(middle)}{'0' * 40}1"
        found += [_exact(middle), more, _exact(-middle + gap / 2**30), repr(low)]
    return found


def _noise(count: int) -> list[str]:
    rng = np.random.default_rng(0)
    made = ["".join(rng.choice(list(_ALPHABET), rng.integers(0, 9))) for _ in range(count)]
    return [*made, *(f"{rng.integers(-400, 400)}{'' if i % 2 else '.5'}" for i in range(count // 4))]


def cases() -> Iterator[Case]:
    """All of them."""
    for to in (F32, F64):
        yield _case(f"edges of {to!r}", edges(to, 60), to)
        yield _case(f"noise to {to!r}", _noise(400), to)
    yield _case("edges to the odd neighbour", edges(F32, 60), F32, odd=True)
    for to in INTEGERS:
        near = [str(end + i) for end in (*limits(to), 0) for i in range(-2, 3)]
        yield _case(f"integers of {to!r}", [*near, *_noise(60), "1" * 40, "0" * 40 + "7"], to)
    yield _case("columns", _noise(70), F32, turned=True)
    yield _case("symbolic", _noise(70), F64, dynamic=True)
    yield _case("none", [], F32)
    yield _case("long", [f"{'1234567890' * 300}e-2990", f"0.{'0' * 500}{'9' * 800}e502"], F64)
