"""Numbers that are written as text: rows of bytes to the words of the nearest number."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dtypes import PLAIN, DType, words_of
from pyruntime.ir.graph import Value
from pyruntime.ir.strings import decode, encode
from pyruntime.ops.definition import REQUIRED, Case, OpDef, TensorType, present, require

Array = NDArray[Any]

SPACES = "\t\n\v\f\r "
_NUMBER = re.compile(rf"[{SPACES}]*([+-]?)(?:(\d+)\.?(\d*)|\.(\d+))(?:[eE]([+-]?\d+))?[{SPACES}]*", re.ASCII)
_INTEGER = re.compile(rf"[{SPACES}]*([+-]?)0*(\d*)(?<=\d)[{SPACES}]*", re.ASCII)
_WORD = re.compile(rf"[{SPACES}]*([+-]?)(inf|infinity|nan)[{SPACES}]*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Format:
    """A binary floating-point format, and which decimals decide how a number is rounded to it.

    Attributes:
        precision: bits of a significand, the hidden one included.
        least: the exponent of the least normal number.
        digits: significant digits that a number or a midpoint of two may have: all further ones together
            only tell whether there is more.
        above, below: numbers below 10^below are nearer to zero than to any other, those from 10^above on
            are infinite.
    """

    precision: int
    least: int
    digits: int
    above: int
    below: int

    @property
    def words(self) -> int:
        """32-bit words of a number."""
        return 1 if self.precision <= DType.U32.bits else 2

    @property
    def limbs(self) -> int:
        """16-bit limbs of the largest integer that `include/numerals.h` makes of digits, or divides."""
        fives = self.digits - self.below  # the greatest power
        bits = max(self.digits * 10 // 3, fives * 7 // 3, self.above * 10 // 3)
        return (bits + 2 * self.words * DType.U32.bits) // 16 + 2


FORMATS: Mapping[DType, Format] = {
    DType.F32: Format(24, -126, 112, 39, -46),
    DType.F64: Format(53, -1022, 767, 309, -324),
}
INTEGERS = tuple(d for d in PLAIN if d.is_integer)
_LONGEST = len(str(2**64))
_EDGES = (
    *("", "0", "-0", "1", "+1", "-1", " 12\t", "1e-3", ".5", "5.", ".", "1e", "1e+", "e1", "--1", "1 2"),
    *("inf", "-INF", "+Infinity", "infinit", "nan", "-NaN", "nano", "in", "0x10", "1_0", "1,5", "é", "1\0"),
    *("127", "128", "-128", "-129", "255", "256", "32767", "-32769", "65536", "00000000000000000000000007"),
    *("2147483647", "-2147483648", "2147483648", "4294967295", "4294967296", "18446744073709551615"),
    *("9223372036854775807", "-9223372036854775808", "9223372036854775808", "18446744073709551616"),
    *("16777217", "16777219", "16777217.0000000000000000000000000000001", "9007199254740993", "1e23", "0.1"),
    *("3.4028235e38", "3.4028235677973366e38", "3.4028235677973365e38", "1e39", "7e-46", "7.1e-46", "1e-45"),
    *("1.17549429e-38", "2.2250738585072011e-308", "5e-324", "2.4703282292062327e-324", "1e-400", "1e400"),
    *("1.7976931348623157e308", "1.7976931348623159e308", "1e99999999999", "1e-99999999999", "0e99999999999"),
    "9007199254740992999999999999999999999999999999999999999999999999999999999999e-60",
    f"0.{'0' * 300}{'9' * 40}",
    f"1{'0' * 60}e-60",
)


def _text(strings: Sequence[str]) -> Array:
    data, width = encode(strings)
    return np.frombuffer(data, np.uint8).reshape(-1, width)


class ParseNumber(OpDef):
    """The number that each row of bytes is in decimal, as 32-bit words, the least significant first.

    Input: uint8 [rows, width], filled up with END (`pyruntime.ir.strings`). Floats are digits with a point
    and an exponent, or inf, infinity or nan in any case, and become the nearest number, of two the even one;
    what is none becomes NaN. Integers are digits; what is none, or out of range, becomes the least number of
    the type. Both may have a sign, and white space of ASCII around them.

    Attributes:
        to: float32, float64 or an integer type; of up to 32 bits one word, extended by the sign.
        odd: of numbers of float32 that are none the odd neighbour, so that what is rounded again to a
            shorter type comes out as if it were rounded once.
    """

    name = "ParseNumber"
    attrs: ClassVar = {"to": REQUIRED, "odd": False}
    cases = (
        *(Case((_text(_EDGES),), {"to": to}, f"{to!r}") for to in (*FORMATS, *INTEGERS)),
        Case((_text(_EDGES),), {"to": DType.F32, "odd": True}, "odd"),
        Case(((DType.U8, (3, 5)),), {"to": DType.F32}, "dynamic", {(0, 0): "rows"}, low=48, high=57),
        Case(((DType.U8, (3, 5)),), {"to": DType.I64}, "width", {(0, 1): "width"}, low=45, high=57),
        Case(((DType.U8, (0, 5)),), {"to": DType.F64}, "none"),
    )

    def infer(self, inputs: Sequence[Value | None], attrs: Mapping[str, Any]) -> list[TensorType]:
        (x,) = present(inputs, 1)
        require(x.dtype is DType.U8 and x.rank == 2, f"takes rows of bytes, not {x.dtype!r}{x.shape}")
        to = attrs["to"]
        require(to in FORMATS or to in INTEGERS, f"numbers of {to!r}")
        require(not attrs["odd"] or to is DType.F32, f"odd neighbours of {to!r}")
        return [TensorType(DType.U32, (x.shape[0], words_of(to)))]

    def reference(self, inputs: Sequence[Array | None], attrs: Mapping[str, Any]) -> list[Array]:
        (x,) = inputs
        assert x is not None
        return [parse(x, attrs["to"], odd=attrs["odd"])]


def limits(dtype: DType) -> tuple[int, int]:
    """The least and greatest integer of a type."""
    if dtype.is_unsigned:
        return 0, (1 << dtype.width) - 1
    return -(1 << dtype.width - 1), (1 << dtype.width - 1) - 1


def parse(rows: Array, to: DType, *, odd: bool) -> Array:
    """The words of the numbers of rows of bytes, uint32 [rows, words]."""
    strings = [_decoded(row.tobytes()) for row in rows]
    codes = [_integer(s, to) if to in INTEGERS else _float(s, FORMATS[to], odd) for s in strings]
    words = [[code >> 32 * i & 0xFFFFFFFF for i in range(words_of(to))] for code in codes]
    return np.array(words, np.uint32).reshape(len(strings), words_of(to))


def _decoded(row: bytes) -> str:
    """A row's text; an empty one, which is no number, for what is not UTF-8."""
    try:
        return decode(row, len(row), 1)[0] if row else ""
    except UnicodeDecodeError:
        return ""


def _integer(text: str, to: DType) -> int:
    (low, high), found = limits(to), _INTEGER.fullmatch(text)
    if not found or len(found[2]) > _LONGEST:
        return low
    number = int(found[1] + (found[2] or "0"))
    return number if low <= number <= high else low


def _float(text: str, form: Format, odd: bool) -> int:
    """The bits of the nearest number of a format."""
    exponents = 32 * form.words - form.precision
    infinity = ((1 << exponents) - 1) << form.precision - 1
    sign = 1 << 32 * form.words - 1
    if word := _WORD.fullmatch(text):
        if word[2].lower() == "nan":
            return infinity | 1 << form.precision - 2
        return infinity | (sign if word[1] == "-" else 0)
    if not (found := _NUMBER.fullmatch(text)):
        return infinity | 1 << form.precision - 2
    minus, whole, part, alone, exponent = found.groups()
    fraction = part or alone or ""
    digits = ((whole or "") + fraction).lstrip("0")
    tens = _clamped(exponent or "0") - len(fraction)
    if len(digits) > form.digits:
        kept, more = digits[: form.digits], digits[form.digits :]
        digits, tens = kept + str(int(more.strip("0") != "")), tens + len(more) - 1
    bits = _nearest(int(digits), tens, form, infinity, odd) if digits else 0
    return bits | (sign if minus == "-" else 0)


def _clamped(exponent: str) -> int:
    """An exponent, or one of its sign that is as good as any larger one."""
    digits = exponent.lstrip("+-").lstrip("0")
    size = int(digits or "0") if len(digits) < _LONGEST else 10**_LONGEST
    return -size if exponent.startswith("-") else size


def _nearest(digits: int, tens: int, form: Format, infinity: int, odd: bool) -> int:
    """The bits of digits * 10^tens, which is more than 0."""
    place = len(str(digits)) + tens
    if place > form.above:
        return infinity - odd
    if place <= form.below:
        return int(odd)
    value = Fraction(digits) * Fraction(10) ** tens
    top = value.numerator.bit_length() - value.denominator.bit_length()
    top -= value < Fraction(2) ** top
    low = max(top, form.least) - (form.precision - 1)
    scaled = value / Fraction(2) ** low
    kept = int(scaled)
    if odd:
        kept |= kept != scaled
    else:
        kept = round(scaled)  # halves to even
    bits = kept + (max(top, form.least) - form.least << form.precision - 1)
    return min(bits, infinity - odd)
