"""Elementwise arithmetic: binary operators, rounding, sign, powers."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np

from pyruntime.ir.dtypes import DType
from pyruntime.ir.scalar import Scalar, call, cast
from pyruntime.ops.definition import Case, row
from pyruntime.ops.trees import const

F16, F32, I32, I64, U8 = DType.F16, DType.F32, DType.I32, DType.I64, DType.U8
SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -1.5], np.float32)

BROADCASTS = (
    Case(((F32, (2, 3, 5)), (F32, (2, 3, 5))), label="same"),
    Case(((F32, (2, 3, 5)), (F32, (5,))), label="row"),
    Case(((F32, (3, 1)), (F32, (1, 7))), label="outer"),
    Case(((F32, (17,)), (F32, ())), label="scalar"),
    Case(((F32, (0, 3)), (F32, (3,))), label="empty"),
    Case(((F32, (4, 3)), (F32, (4, 1))), label="dynamic", symbols={(0, 0): "batch", (1, 0): "batch"}),
    Case(((F16, (11,)), (F16, (11,))), label="f16"),
    Case(((I32, (13,)), (I32, (13,))), label="i32", low=-50, high=50),
)
INTEGERS = (
    Case(((I64, (2, 9)), (I64, (9,))), label="i64", low=-1000, high=1000),
    Case(((U8, (19,)), (U8, (19,))), label="u8", high=15),
)
DIVISORS = (
    Case(((F32, (2, 5)), np.array([2.0, -3.0, 0.5, 7.0, -0.125], np.float32)), label="f32"),
    Case(((F32, (5, 1)), (F32, (3,))), label="outer", low=0.5),
    Case(
        (np.arange(-9, 10, dtype=np.int32), np.array([4, -4, 3, -3, 1, -1, 7] * 3, np.int32)[:19]),
        label="i32",
    ),
    Case((np.arange(-9, 10, dtype=np.int64), np.array(-4, np.int64)), label="i64"),
    Case((np.arange(17, dtype=np.uint8), np.array(3, np.uint8)), label="u8"),
    Case(((F16, (11,)), (F16, (11,))), label="f16", low=0.5),
    Case(((F32, (3, 2)), (F32, (2,))), label="dynamic", symbols={(0, 0): "batch"}, low=0.5),
)


def _pow(base: Scalar, exponent: Scalar) -> Scalar:
    """The result has the base's dtype; an integer to a float power is computed as floats."""
    if base.dtype.is_float:
        return call("pow", base, cast(exponent, base.dtype))
    if exponent.dtype.is_integer:
        return call("ipow", base, cast(exponent, base.dtype))
    return cast(call("pow", cast(base, exponent.dtype), exponent), base.dtype)


def _mod(a: Scalar, b: Scalar, fmod: Literal[0, 1]) -> Scalar:
    if a.dtype.is_float and not fmod:
        raise TypeError("the modulus of floats needs fmod=1")
    return call("rem" if fmod else "mod", a, b)


def _reciprocal(x: Scalar) -> Scalar:
    return call("div", const(x, 1), x)


ROUNDED = np.array([-2.5, -1.5, -0.5, -0.0, 0.0, 0.5, 1.5, 2.5, 1e9, np.inf, -np.inf, 2.4999998], np.float32)
UNARY = (
    Case(((F32, (3, 7)),), label="f32"),
    Case(((F32, ()),), label="scalar"),
    Case(((F32, (0,)),), label="empty"),
    Case(((F32, (2, 5)),), label="dynamic", symbols={(0, 0): "batch"}),
    Case(((F16, (13,)),), label="f16"),
)
SIGNED = (*UNARY, Case(((I32, (17,)),), label="i32", low=-9, high=9), Case(((I64, (5,)),), label="i64"))

ROWS = [
    row("Add", partial(call, "add"), cases=(*BROADCASTS, *INTEGERS), contents=True),
    row("Sub", partial(call, "sub"), cases=(*BROADCASTS, INTEGERS[0]), contents=True),
    row("Mul", partial(call, "mul"), cases=(*BROADCASTS, *INTEGERS), contents=True),
    row("Div", partial(call, "div"), cases=DIVISORS, contents=True),
    row(
        "Mod",
        _mod,
        attrs={"fmod": 0},
        contents=True,
        cases=(
            *(Case(c.inputs, {"fmod": 0}, c.label) for c in DIVISORS[2:5]),
            *(Case(c.inputs, {"fmod": 1}, f"fmod-{c.label}") for c in (DIVISORS[0], *DIVISORS[2:5])),
            Case(((I32, (3, 2)), (I32, (2,))), label="dynamic", symbols={(0, 0): "batch"}, low=1, high=9),
        ),
    ),
    row(
        "Pow",
        _pow,
        tolerance=1e-4,
        cases=(
            Case(((F32, (3, 5)), (F32, (5,))), label="f32", low=0.1),
            Case(
                (np.array([-2.0, -1.5, 0.0, 1.0, 3.0], np.float32), np.array(3.0, np.float32)), label="cube"
            ),
            Case((np.array([-2.0, -1.5, 0.0, 1.0, 3.0], np.float32), np.array(2, np.int64)), label="f32-i64"),
            Case((np.arange(-4, 5, dtype=np.int32), np.array([2, 3, 0], np.int32)[:, None]), label="i32"),
            Case((np.array([1, 4, 9, 10], np.int32), np.array(1.5, np.float32)), label="i32-f32"),
            Case((np.arange(-3, 4, dtype=np.int64), np.array(5, np.int64)), label="i64"),
            Case(((F16, (7,)), (F16, (7,))), label="f16", low=0.5, high=2),
            Case(((F32, (3, 2)), (F32, (2,))), label="dynamic", symbols={(0, 0): "batch"}, low=0.5),
        ),
    ),
    *(
        row(
            name,
            partial(call, name.lower()),
            contents=True,
            cases=(
                *BROADCASTS,
                *INTEGERS,
                Case((SPECIAL[:, None], np.array([0.0, np.nan, 1.0], np.float32)), label="special"),
            ),
        )
        for name in ("Min", "Max")
    ),
    row("Neg", partial(call, "neg"), cases=(*SIGNED, Case((SPECIAL,), label="special")), contents=True),
    row(
        "Abs",
        partial(call, "abs"),
        cases=(*SIGNED, Case((SPECIAL,), label="special"), Case(((U8, (9,)),), label="u8")),
        contents=True,
    ),
    row("Sign", partial(call, "sign"), cases=(*SIGNED, Case((SPECIAL[1:],), label="special"))),
    *(
        row(name, partial(call, name.lower()), cases=(*UNARY, Case((ROUNDED,), label="special")))
        for name in ("Floor", "Ceil", "Round")
    ),
    row("Reciprocal", _reciprocal, cases=[replace(c, low=0.25) for c in UNARY]),
]
