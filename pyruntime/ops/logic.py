"""Elementwise comparisons, logic, bit operations, selection and conversion."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np

from pyruntime.ir.dtypes import DType
from pyruntime.ir.scalar import Call, Const, Scalar, bitcast, call, cast
from pyruntime.ops.definition import REQUIRED, Case, row
from pyruntime.ops.trees import is_negative

BOOL, F16, F32, I8, I32, I64, U8, U32 = (
    DType.BOOL,
    DType.F16,
    DType.F32,
    DType.I8,
    DType.I32,
    DType.I64,
    DType.U8,
    DType.U32,
)

COMPARISONS = {
    "Equal": "eq",
    "Less": "lt",
    "LessOrEqual": "le",
    "Greater": "gt",
    "GreaterOrEqual": "ge",
}
SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5], np.float32)
COMPARED = (
    Case(((F32, (2, 5)), (F32, (5,))), label="f32", low=-1, high=1),
    Case(((I32, (3, 5)), (I32, (3, 1))), label="i32", low=-2, high=2),
    Case(((I64, (23,)), (I64, ())), label="i64", low=-2, high=2),
    Case((SPECIAL[:, None], SPECIAL), label="special"),
    Case(((F16, (9,)), np.array(0.5, np.float16)), label="f16"),
    Case(((F32, (3, 7)), (F32, (7,))), label="dynamic", symbols={(0, 0): "batch"}),
)
TRUTHS = (
    Case(((BOOL, (3, 7)), (BOOL, (7,))), label="row"),
    Case(((BOOL, (5, 1)), (BOOL, (1, 3))), label="outer"),
    Case(((BOOL, (4, 3)), (BOOL, ())), label="dynamic", symbols={(0, 0): "batch"}),
)
BITS = (
    Case(((I32, (3, 7)), (I32, (7,))), label="i32", low=-100, high=100),
    Case(((U8, (13,)), (U8, (13,))), label="u8", high=255),
    Case(((I64, (5,)), (I64, ())), label="i64", low=-9, high=99),
    Case(((I32, (3, 7)), (I32, (7,))), label="dynamic", symbols={(0, 0): "batch"}, low=-100, high=100),
)
SHIFTS = (
    Case(((U32, (13,)), np.array([[0], [1], [31]], np.uint32)), label="u32", high=1e9),
    Case(((U8, (13,)), np.array(3, np.uint8)), label="u8", high=255),
)
# amounts below 0 and from the width on leave nothing but the sign
SIGNED_SHIFTS = (
    Case(((I32, (13,)), np.array([[0], [1], [31], [32], [-1]], np.int32)), label="i32", low=-1e9, high=1e9),
    Case(((I8, (13,)), np.array([[0], [3], [8], [-2]], np.int8)), label="i8", low=-128, high=127),
)


def _is_inf(x: Scalar, detect_negative: Literal[0, 1], detect_positive: Literal[0, 1]) -> Scalar:
    infinite = call("is_inf", x)
    if detect_negative and detect_positive:
        return infinite
    if not detect_negative and not detect_positive:
        return Const(BOOL, False)
    negative = is_negative(x)
    return call("and", infinite, negative if detect_negative else call("not", negative))


def _bit_shift(x: Scalar, amount: Scalar, direction: Literal["LEFT", "RIGHT"]) -> Scalar:
    return call({"LEFT": "shift_left", "RIGHT": "shift_right"}[direction], x, amount)


def _cast(x: Scalar, to: DType) -> Scalar:
    return cast(x, to)


def _bit_cast(x: Scalar, to: DType) -> Scalar:
    if x.dtype.code is to or to.code is x.dtype:  # the same elements, see `DType.code`
        return Call(to, "bitcast", (x,))
    return bitcast(x, to)


def _identity(x: Scalar) -> Scalar:
    return x


def _is_nan(x: Scalar) -> Scalar:
    return call("is_nan", x)


VALUES = np.array([-300.7, -2.5, -1.0, -0.3, 0.0, 0.4, 1.0, 1.9, 2.5, 100.2], np.float32)
WHOLE = np.array([-129, -128, -1, 0, 1, 127, 128, 255, 256, 65537], np.int32)
CASTS = (
    *(Case((VALUES,), {"to": to}, f"f32-{to!r}") for to in (I32, I64, F16, BOOL, F32)),
    Case((np.abs(VALUES[1:]),), {"to": U8}, "f32-uint8"),
    *(Case((WHOLE,), {"to": to}, f"int32-{to!r}") for to in (I8, U8, I64, U32, F32, BOOL)),
    Case(((BOOL, (7,)),), {"to": F32}, "bool-float32"),
    Case(((BOOL, (7,)),), {"to": I64}, "bool-int64"),
    Case(((F16, (3, 5)),), {"to": F32}, "dynamic", symbols={(0, 0): "batch"}),
    Case(((U8, (7,)),), {"to": F32}, "uint8-float32", high=255),
    Case(((I64, (7,)),), {"to": I32}, "int64-int32", high=1e6),
)

BIT_CASTS = (
    *(Case((VALUES,), {"to": to}, f"f32-{to!r}", {(0, 0): "n"}) for to in (I32, U32)),
    *(Case(((I32, (3, 5)),), {"to": to}, f"i32-{to!r}", low=1e9, high=2e9) for to in (F32, U32)),
    Case((np.array([0, 1, 127, 128, 255], np.uint8),), {"to": I8}, "u8-i8"),
    Case((VALUES.astype(np.float64),), {"to": I64}, "f64-i64"),
    Case(((I64, (7,)),), {"to": DType.F64}, "i64-f64", low=4e18, high=5e18),
)

ROWS = [
    *(
        row(name, partial(call, function), cases=COMPARED, contents=True)
        for name, function in COMPARISONS.items()
    ),
    *(row(name, partial(call, name.lower()), cases=TRUTHS, contents=True) for name in ("And", "Or", "Xor")),
    row(
        "Not",
        partial(call, "not"),
        cases=(Case(((BOOL, (3, 7)),)), Case(((BOOL, (3, 7)),), label="dynamic", symbols={(0, 0): "batch"})),
        contents=True,
    ),
    row("BitwiseAnd", partial(call, "bit_and"), cases=BITS),
    row("BitwiseOr", partial(call, "bit_or"), cases=BITS),
    row("BitwiseXor", partial(call, "bit_xor"), cases=BITS),
    row(
        "BitwiseNot",
        partial(call, "bit_not"),
        cases=[replace(c, inputs=c.inputs[:1]) for c in BITS],
    ),
    row(
        "BitShift",
        _bit_shift,
        attrs={"direction": REQUIRED},
        cases=[
            Case(c.inputs, {"direction": d}, f"{d.lower()}-{c.label}", low=c.low, high=c.high)
            for d in ("LEFT", "RIGHT")
            for c in SHIFTS
        ]
        + [Case(((U32, (3, 2)), (U32, (2,))), {"direction": "LEFT"}, "dynamic", {(0, 0): "batch"}, high=9)]
        + [
            Case(c.inputs, {"direction": d}, f"{d.lower()}-{c.label}", low=c.low, high=c.high)
            for d in ("LEFT", "RIGHT")
            for c in SIGNED_SHIFTS
        ],
    ),
    row(
        "IsNaN",
        _is_nan,
        exact=True,
        cases=(
            Case((SPECIAL,), label="special"),
            Case((SPECIAL.astype(np.float16),), label="f16"),
            Case(((F32, (3, 5)),), label="dynamic", symbols={(0, 0): "batch"}),
        ),
    ),
    row(
        "IsInf",
        _is_inf,
        attrs={"detect_negative": 1, "detect_positive": 1},
        cases=[
            Case((SPECIAL,), {"detect_negative": n, "detect_positive": p}, f"{n}{p}")
            for n in (0, 1)
            for p in (0, 1)
        ]
        + [Case(((F32, (3, 2)),), label="dynamic", symbols={(0, 0): "batch"})],
    ),
    row(
        "Where",
        partial(call, "select"),
        exact=True,
        any_type=True,
        contents=True,
        cases=(
            Case(((BOOL, (2, 1, 5)), (F32, (3, 1)), (F32, (5,))), label="broadcast"),
            Case(((BOOL, (7,)), (I64, (7,)), (I64, ())), label="i64"),
            Case(((BOOL, ()), (F32, (3,)), (F32, (3,))), label="scalar"),
            Case(((BOOL, (5,)), (U8, (5,)), (U8, (5,))), label="u8"),
            Case(((BOOL, (6,)), SPECIAL, np.array(-0.0, np.float32)), label="special"),
            Case(
                ((BOOL, (3, 4)), (F32, (3, 4)), (F32, ())),
                label="dynamic",
                symbols={(0, 0): "n", (1, 0): "n"},
            ),
        ),
    ),
    row("BitCast", _bit_cast, attrs={"to": REQUIRED}, exact=True, any_type=True, cases=BIT_CASTS),
    row("Cast", _cast, attrs={"to": REQUIRED}, exact=True, contents=True, cases=CASTS),
    row(
        "Identity",
        _identity,
        exact=True,
        any_type=True,
        contents=True,
        cases=(
            Case(((F32, (2, 3)),), label="f32"),
            Case(((BOOL, (5,)),), label="bool"),
            Case(((I64, ()),), label="i64"),
            Case(((F16, (3, 2)),), label="dynamic", symbols={(0, 0): "batch"}),
        ),
    ),
]
