"""Decoders of the kinds of values that stand in pack.json."""

from __future__ import annotations

import math
import re
from typing import Any

from pyruntime.ir.dtypes import PLAIN, DType
from pyruntime.pack.decode import MAX_INTEGER, Invalid, choice, integer, text
from pyruntime.pack.expressions import Expression, ExpressionError, check, is_symbol

FILE = text(
    "a plain file name", lambda s: len(s) < 200 and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", s) is not None
)
SHA256 = text("a SHA-256 in hex", re.compile(r"[0-9a-f]{64}").fullmatch)
SYMBOL = text("a symbol's name", is_symbol)
NAME = text()
LABEL = text("a non-empty name", bool)
COUNT = integer()
INTEGER = integer(-MAX_INTEGER)
GPU_DTYPE = choice("float32", "float16", "int8", "uint8", "int32", "uint32", "int64", "uint64")
DTYPES = {d.value: d for d in PLAIN}


def encoded(value: Any) -> DType:
    """A type that packs hold as the integers of its bits alone, or as bytes."""
    found = {d.value: d for d in DType if d.code}.get(value) if isinstance(value, str) else None
    if found is None:
        raise Invalid(f"expected a dtype that integers encode, got {value!r:.60}")
    return found


def dtype(value: Any) -> DType:
    """A type that packs hold elements of."""
    if not isinstance(value, str) or value not in DTYPES:
        raise Invalid(f"expected a dtype, got {value!r:.60}")
    return DTYPES[value]


def expression(value: Any) -> Expression:
    """A dim in its RPN form, checked."""
    if isinstance(value, list):
        value = tuple(value)
    elif not isinstance(value, (int, str)) or isinstance(value, bool):
        raise Invalid(f"expected an expression, got {value!r:.60}")
    try:
        check(value)
    except ExpressionError as error:
        raise Invalid(f"not an expression: {error}") from None
    return value  # type: ignore[no-any-return]  # checked


def number(value: Any) -> float | int:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise Invalid(f"expected a number, got {value!r:.60}")
    return value
