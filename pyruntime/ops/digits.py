"""Numbers to text: the fewest decimal digits that are read back as the same number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ir.strings import END
from pyruntime.ops.codes import FORMATS
from pyruntime.ops.definition import REQUIRED, Case, OpDef, TensorType, present, require

Array = NDArray[Any]

# bits of a significand, the hidden one included, and the exponent of the least normal number
PRECISIONS: Mapping[DType, tuple[int, int]] = {
    DType.F64: (53, -1022),
    DType.F32: (24, -126),
    DType.F8E8M0: (1, -127),
    **{dtype: (form.mantissa + 1, 1 - form.bias) for dtype, form in FORMATS.items()},
}
WIDTHS: Mapping[DType, int] = {DType.F32: 19, DType.F64: 24}  # bytes of the longest text
# exponents of the first digit for which a number is written without one, as Python does
PLAIN = range(-4, 16)
SPECIAL = {"nan": "NaN", "inf": "INF", "-inf": "-INF"}  # the words that ONNX reserves


def _as(dtype: DType) -> dict[str, int]:
    return dict(zip(("precision", "least"), PRECISIONS[dtype], strict=True))


_EDGES = (
    *(
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.1,
        0.3,
        10.0,
        123.0,
        314.15926,
        1e15,
        9.999999e15,
        1e16,
        1e17,
        1e-4,
        1e-5,
        2.5e-5,
    ),
    *(math.nan, math.inf, -math.inf, 2.0**24, 2.0**53, 2.0**-24, 5e-8, 1.4e-45, 1.1754944e-38, 3.4028235e38),
)


class FormatNumber(OpDef):
    """The text of each number, as rows of bytes filled up with END (`pyruntime.ir.strings`).

    Input: float32 or float64 [rows]. The digits are the fewest that are read back as the same number of its
    type, of these the nearest, of two as near the even ones. From 1e-4 on and below 1e16 they stand around a
    point, with a digit on either side; else before an exponent of two digits at least. What is no number is
    NaN, INF or -INF.

    Attributes:
        precision, least: as in PRECISIONS, of a type that float32 holds all of, or of float64.
    """

    name = "FormatNumber"
    attrs: ClassVar = {"precision": REQUIRED, "least": REQUIRED}
    cases = (
        Case((np.array(_EDGES, np.float32),), _as(DType.F32), "f32"),
        Case((np.array((*_EDGES, 5e-324, 1e308, 1e23, 9007199254740993.0)),), _as(DType.F64), "f64"),
        Case(
            (np.array([0.1, 65504, 314.25, 6e-8, 2048], np.float16).astype(np.float32),),
            _as(DType.F16),
            "f16",
        ),
        Case(((DType.F64, (0,)),), _as(DType.F64), "none"),
        Case(((DType.F32, (7,)),), _as(DType.F32), "dynamic", {(0, 0): "rows"}),
    )

    def infer(self, inputs: Sequence[Value | None], attrs: Mapping[str, Any]) -> list[TensorType]:
        (x,) = present(inputs, 1)
        require(x.dtype in WIDTHS and x.rank == 1, f"takes a vector of floats, not {x.dtype!r}{x.shape}")
        bits, first = PRECISIONS[x.dtype]
        fits = 0 < attrs["precision"] <= bits and attrs["least"] >= first - 1
        require(fits, f"{attrs['precision']} bits from 2**{attrs['least']} on of {x.dtype!r}")
        return [TensorType(DType.U8, (x.shape[0], WIDTHS[x.dtype]))]

    def reference(self, inputs: Sequence[Array | None], attrs: Mapping[str, Any]) -> list[Array]:
        (x,) = inputs
        assert x is not None
        return [rows_of(x, attrs["precision"], attrs["least"])]


def rows_of(x: Array, precision: int, least: int) -> Array:
    """The rows of bytes, uint8 [rows, width], of numbers of a type."""
    rows = np.full((len(x), WIDTHS[DType(x.dtype.name)]), END, np.uint8)
    for row, value in zip(rows, x.tolist(), strict=True):
        data = written(value, precision, least).encode()
        row[: len(data)] = np.frombuffer(data, np.uint8)
    return rows


def written(value: float, precision: int, least: int) -> str:
    """The text of a number that is one of the type's."""
    if not math.isfinite(value):
        return SPECIAL[str(value)]
    sign = "-" if math.copysign(1, value) < 0 else ""
    digits, point = shortest(Fraction(abs(value)), precision, least) if value else ("0", 1)
    if point - 1 not in PLAIN:
        part = f".{digits[1:]}" if digits[1:] else ""
        return f"{sign}{digits[0]}{part}e{point - 1:+03d}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    return f"{sign}{digits[:point].ljust(point, '0')}.{digits[point:] or '0'}"


def shortest(value: Fraction, precision: int, least: int) -> tuple[str, int]:
    """The digits of a positive number, and how many of them stand before the point."""
    top = value.numerator.bit_length() - value.denominator.bit_length()
    top -= value < Fraction(2) ** top
    unit = Fraction(2) ** (max(top, least) - precision + 1)
    even = int(value / unit) % 2 == 0
    below = unit / 4 if value == Fraction(2) ** top and top > least else unit / 2
    low, high = value - below, value + unit / 2
    point = math.floor(top * math.log10(2)) - 1
    while Fraction(10) ** point < value:
        point += 1
    point += 1  # one more than may be needed, where the number is rounded up to a power of ten
    for places in range(-point, precision + 400):
        scale = Fraction(10) ** places
        near = round(value * scale)  # halves to even
        for digits in sorted((near, near - 1, near + 1), key=lambda n: abs(n - value * scale)):
            here = digits / scale
            if low < here < high or (even and here in (low, high)):
                text = str(digits).rstrip("0")
                return text, len(str(digits)) - places
    raise AssertionError("a number has an end")
