"""Types that kernels know as integers alone: what these stand for, as trees that every target prints."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Literal

import numpy as np

from pyruntime.ir.dtypes import DType
from pyruntime.ir.scalar import Const, Scalar, bitcast, call, cast
from pyruntime.ops.definition import REQUIRED, Case, row

F32, I32, U8, U16, U32 = DType.F32, DType.I32, DType.U8, DType.U16, DType.U32

RoundMode = Literal["up", "down", "nearest"]
_INFINITY = 0x7F800000  # bits of float32
_NAN = 0x7FC00000
_SIGN = 0x80000000


@dataclass(frozen=True)
class Format:
    """A float of fewer bits than float32: sign, exponent, mantissa.

    Attributes:
        largest: the largest code of a number without its sign.
        overflow: the code, without a sign, of what rounds to more.
        nan: the code of NaN, without a sign.
        negative_zero: whether there is one; its code is that of NaN otherwise.
    """

    exponent: int
    mantissa: int
    bias: int
    largest: int
    overflow: int
    nan: int
    negative_zero: bool = True


FORMATS = {
    DType.BF16: Format(8, 7, 127, 0x7F7F, 0x7F80, 0x7FC0),
    DType.F16: Format(5, 10, 15, 0x7BFF, 0x7C00, 0x7E00),
    DType.F8E4M3FN: Format(4, 3, 7, 0x7E, 0x7F, 0x7F),
    DType.F8E4M3FNUZ: Format(4, 3, 8, 0x7F, 0x80, 0x80, negative_zero=False),
    DType.F8E5M2: Format(5, 2, 15, 0x7B, 0x7C, 0x7E),
    DType.F8E5M2FNUZ: Format(5, 2, 16, 0x7F, 0x80, 0x80, negative_zero=False),
    DType.F4E2M1: Format(2, 1, 1, 7, 7, 0),  # has no NaN
}


def encoded_from(dtype: DType) -> DType:
    """The type of numbers that `Encode` makes codes of."""
    return F32 if dtype.is_float else I32


def decoded_to(dtype: DType) -> DType:
    """The type of numbers that `Decode` makes of codes."""
    return F32 if dtype.is_float else code_of(dtype)


def code_of(dtype: DType) -> DType:
    """The integers of a type's bits: those that hold it where kernels do not know it."""
    return dtype.code or {16: U16, 32: U32, 64: DType.U64}[dtype.bits]


def _u32(value: int) -> Const:
    return Const(U32, value)


def _or(*terms: Scalar) -> Scalar:
    return reduce(lambda a, b: call("bit_or", a, b), terms)


def _choose(*rules: tuple[Scalar, Scalar], otherwise: Scalar) -> Scalar:
    """The value of the first rule whose condition holds."""
    return reduce(lambda rest, rule: call("select", *rule, rest), reversed(rules), otherwise)


def _decode(code: Scalar, dtype: DType) -> Scalar:
    """The number that a code stands for; of a type shorter than a byte the lower bits count."""
    if code.dtype is not code_of(dtype):
        raise TypeError(f"codes of {dtype!r} are {code_of(dtype)!r}, not {code.dtype!r}")
    if dtype.is_integer:
        return cast(_low_bits(cast(code, I32), dtype), decoded_to(dtype))
    bits = cast(code, U32)
    if dtype is DType.F8E8M0:
        least = _u32(1 << 22)  # 2^-127 is subnormal
        scale = call("shift_left", bits, _u32(23))
        rules = ((call("eq", bits, _u32(0)), least), (call("eq", bits, _u32(0xFF)), _u32(_NAN)))
        return bitcast(_choose(*rules, otherwise=scale), F32)
    form = FORMATS[dtype]
    if dtype is DType.BF16:
        return bitcast(call("shift_left", bits, _u32(16)), F32)
    top = _u32(1 << (form.exponent + form.mantissa))
    magnitude = call("bit_and", bits, call("sub", top, _u32(1)))
    sign = call("shift_left", call("bit_and", bits, top), _u32(31 - form.exponent - form.mantissa))
    shifted = call("shift_left", magnitude, _u32(23 - form.mantissa))
    normal = call("add", shifted, _u32((127 - form.bias) << 23))
    # as an integer times a power of two, since devices may take subnormal floats for zero
    small = call("mul", cast(magnitude, F32), Const(F32, 2.0 ** (1 - form.bias - form.mantissa)))
    below = call("lt", magnitude, _u32(1 << form.mantissa))
    value = call("select", below, bitcast(small, U32), normal)
    if not form.negative_zero:
        return bitcast(_choose((call("eq", bits, top), _u32(_NAN)), otherwise=_or(value, sign)), F32)
    if form.overflow > form.largest:
        endless = _u32(_INFINITY if form.overflow != form.nan else _NAN)
        value = _choose(
            (call("gt", magnitude, _u32(form.overflow)), _u32(_NAN)),
            (call("eq", magnitude, _u32(form.overflow)), endless),
            otherwise=value,
        )
    return bitcast(_or(value, sign), F32)


def _low_bits(x: Scalar, dtype: DType) -> Scalar:
    """An int32 modulo the range of a shorter integer type."""
    rest = Const(I32, 32 - dtype.width)
    if dtype.is_unsigned:
        return call("bit_and", x, Const(I32, (1 << dtype.width) - 1))
    return call("shift_right", call("shift_left", x, rest), rest)


def _encode(x: Scalar, dtype: DType, saturate: bool, round_mode: RoundMode) -> Scalar:
    """The code of the nearest number, of two the even one; integers wrap.

    `saturate` puts the largest number where more would be infinite or NaN. `round_mode` is that of F8E8M0.
    """
    if x.dtype is not encoded_from(dtype):
        raise TypeError(f"codes of {dtype!r} are made of {encoded_from(dtype)!r}, not {x.dtype!r}")
    if dtype.is_integer:
        return cast(_low_bits(x, dtype), code_of(dtype))
    bits = bitcast(x, U32)
    absolute = call("bit_and", bits, _u32(_SIGN - 1))
    if dtype is DType.F8E8M0:
        return cast(_exponent(absolute, saturate, round_mode), U8)
    form = FORMATS[dtype]
    drop = 23 - form.mantissa
    odd = call("bit_and", call("shift_right", absolute, _u32(drop)), _u32(1))
    rounded = call("add", call("add", absolute, _u32((1 << (drop - 1)) - 1)), odd)
    code = call("shift_right", rounded, _u32(drop))
    if form.bias != 127:
        code = call("sub", code, _u32((127 - form.bias) << form.mantissa))
        units = call("mul", call("abs", x), Const(F32, 2.0 ** (form.bias + form.mantissa - 1)))
        below = call("lt", absolute, _u32((128 - form.bias) << 23))
        code = call("select", below, cast(call("round", units), U32), code)
    most = _u32(form.largest if saturate else form.overflow)
    code = _choose(
        (call("gt", absolute, _u32(_INFINITY)), _u32(form.nan)),
        (call("gt", code, _u32(form.largest)), most),
        otherwise=code,
    )
    place = form.exponent + form.mantissa
    sign = call("bit_and", call("shift_right", bits, _u32(31 - place)), _u32(1 << place))
    if not form.negative_zero:
        sign = call("select", call("eq", code, _u32(0)), code, sign)
    return cast(_or(code, sign), code_of(dtype))


def _exponent(absolute: Scalar, saturate: bool, round_mode: RoundMode) -> Scalar:
    """A power of two near a float32 of these bits without its sign; NaN for what is no number."""
    exponent = call("shift_right", absolute, _u32(23))
    fraction = call("bit_and", absolute, _u32((1 << 23) - 1))
    half = _u32(1 << 22)
    match round_mode:
        case "down":
            up: Scalar = Const(DType.BOOL, False)
        case "up":
            up = call("gt", fraction, _u32(0))
        case "nearest":
            # as ONNX has it: half is rounded up, but for the least power
            normal = call("gt", exponent, _u32(0))
            up = call("or", call("gt", fraction, half), call("and", call("eq", fraction, half), normal))
    if saturate:
        up = call("and", up, call("lt", exponent, _u32(0xFE)))
    raised = call("add", exponent, cast(up, U32))
    return call("select", call("ge", absolute, _u32(_INFINITY)), _u32(0xFF), raised)


_VALUES = np.array(
    [
        *(0.0, -0.0, 1.0, -1.0625, 1.1875, 300.0, 448.0, 464.0, 465.0, 1e5, -1e30, 1e-3, 2.0**-9, 3e-5),
        *(np.inf, -np.inf, np.nan),
    ],
    np.float32,
)
BYTES = (DType.F8E4M3FN, DType.F8E4M3FNUZ, DType.F8E5M2, DType.F8E5M2FNUZ, DType.F8E8M0)
_INTEGERS = tuple(d for d in DType if d.code and d.is_integer)
_OF_BATCH = {(0, 0): "batch"}

ROWS = [
    row(
        "Decode",
        _decode,
        attrs={"dtype": REQUIRED},
        exact=True,
        any_type=True,
        cases=(
            *(Case((np.arange(256, dtype=np.uint8),), {"dtype": d}, repr(d)) for d in BYTES),
            Case(((U16, (3, 7)),), {"dtype": DType.BF16}, "bfloat16", _OF_BATCH, high=0x7F00),
            *(Case(((code_of(d), (7,)),), {"dtype": d}, repr(d), low=-2, high=1) for d in _INTEGERS),
        ),
    ),
    row(
        "Encode",
        _encode,
        attrs={"dtype": REQUIRED, "saturate": False, "round_mode": "up"},
        exact=True,
        any_type=True,
        cases=(
            *(Case((_VALUES,), {"dtype": d, "saturate": True}, f"{d!r}-saturated") for d in BYTES),
            *(Case((_VALUES,), {"dtype": d}, repr(d)) for d in BYTES[:4]),
            Case((_VALUES,), {"dtype": DType.F8E8M0, "round_mode": "nearest"}, "nearest"),
            Case((_VALUES,), {"dtype": DType.F8E8M0, "round_mode": "down"}, "down"),
            Case(((F32, (3, 7)),), {"dtype": DType.BF16}, "bfloat16", _OF_BATCH),
            *(Case(((I32, (7,)),), {"dtype": d}, repr(d), low=-99, high=99) for d in _INTEGERS),
        ),
    ),
]
