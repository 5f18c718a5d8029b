"""WGSL's operators and functions over NumPy: a value for each invocation, components of vectors first.

A number without a type (`0`, `1.5`) is one of Python's, which takes the type of what it meets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

SCALARS: Mapping[str, type[np.generic]] = {
    "f32": np.float32,
    "f16": np.float16,
    "i32": np.int32,
    "u32": np.uint32,
    "bool": np.bool_,
}

_NAMES = {np.dtype(kind): name for name, kind in SCALARS.items()}


def concrete(value: Any) -> Any:
    """A value with a type: of integers i32, of floats f32."""
    if isinstance(value, bool):
        return np.bool_(value)
    if isinstance(value, int):
        return np.int32(value)
    return np.float32(value) if isinstance(value, float) else value


def _pair(a: Any, b: Any) -> tuple[Any, Any]:
    """Two values of one type."""
    if isinstance(a, (int, float)) and not isinstance(b, (int, float)):
        a = b.dtype.type(a)
    elif isinstance(b, (int, float)) and not isinstance(a, (int, float)):
        b = a.dtype.type(b)
    a, b = concrete(a), concrete(b)
    assert a.dtype == b.dtype, f"{a.dtype} meets {b.dtype}"
    return a, b


def divide(a: Any, b: Any) -> Any:
    """a / b, truncated where they are integers."""
    a, b = _pair(a, b)
    if a.dtype.kind == "f":
        return a / b
    if a.dtype.kind == "u":
        return a // b
    wide = np.where(b == 0, np.int64(1), b)
    quotient = np.abs(a.astype(np.int64)) // np.abs(wide)
    return (quotient * np.sign(a) * np.sign(wide)).astype(a.dtype)


def remainder(a: Any, b: Any) -> Any:
    """a % b, of the sign of a."""
    a, b = _pair(a, b)
    if a.dtype.kind == "f":
        return np.fmod(a, b)
    return a - divide(a, b) * b


def shift_left(a: Any, b: Any) -> Any:
    a = concrete(a)
    return a << np.asarray(b).astype(a.dtype)


def shift_right(a: Any, b: Any) -> Any:
    a = concrete(a)
    return a >> np.asarray(b).astype(a.dtype)


def _arithmetic(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def apply(a: Any, b: Any) -> Any:
        if isinstance(a, (int, float)) and isinstance(b, (int, float)):
            return function(a, b)
        return function(*_pair(a, b))

    return apply


OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": _arithmetic(lambda a, b: a + b),
    "-": _arithmetic(lambda a, b: a - b),
    "*": _arithmetic(lambda a, b: a * b),
    "/": divide,
    "%": remainder,
    "<<": shift_left,
    ">>": shift_right,
    "&": _arithmetic(lambda a, b: a & b),
    "|": _arithmetic(lambda a, b: a | b),
    "^": _arithmetic(lambda a, b: a ^ b),
    "==": _arithmetic(lambda a, b: a == b),
    "!=": _arithmetic(lambda a, b: a != b),
    "<": _arithmetic(lambda a, b: a < b),
    ">": _arithmetic(lambda a, b: a > b),
    "<=": _arithmetic(lambda a, b: a <= b),
    ">=": _arithmetic(lambda a, b: a >= b),
}


def negate(a: Any) -> Any:
    return -a


def invert(a: Any) -> Any:
    return ~concrete(a)


def no(a: Any) -> Any:
    return np.logical_not(a)


def convert(name: str, value: Any = 0) -> Any:
    """A scalar, or the components of a vector, as another type; floats truncate and saturate."""
    target, value = SCALARS[name], concrete(value)
    if value.dtype.kind == "f" and target in (np.int32, np.uint32):
        limits = np.iinfo(target)
        wide = np.nan_to_num(value.astype(np.float64), nan=0.0, posinf=2.0**33, neginf=-(2.0**33))
        return np.clip(np.trunc(wide), limits.min, limits.max).astype(np.int64).astype(target)
    return value.astype(target)


def vector(element: str, count: int, *parts: Any) -> Any:
    """[count, invocations], or [count, 1] of what all have."""
    if not parts:
        return np.zeros((count, 1), SCALARS[element])
    made = [convert(element, p) for p in parts]
    rows = [row for part in made for row in (part if part.ndim == 2 else [part])]
    if len(rows) == 1:
        rows *= count
    assert len(rows) == count, f"{len(rows)} components for vec{count}"
    wide = max(r.size for r in rows)
    return np.stack([np.broadcast_to(r.reshape(-1), wide) for r in rows])


def bitcast(name: str, value: Any) -> Any:
    return np.ascontiguousarray(concrete(value)).view(SCALARS[name]).reshape(np.shape(value))


def select(otherwise: Any, value: Any, condition: Any) -> Any:
    otherwise, value = _pair(otherwise, value)
    return np.where(condition, value, otherwise)


def _least(a: Any, b: Any) -> Any:
    return np.fmin(*_pair(a, b))


def _most(a: Any, b: Any) -> Any:
    return np.fmax(*_pair(a, b))


def clamp(a: Any, low: Any, high: Any) -> Any:
    return _least(_most(a, low), high)


def dot(a: Any, b: Any) -> Any:
    return (a * b).sum(axis=0, dtype=a.dtype)


def _bytes(word: Any, target: type[np.generic]) -> Any:
    shifts = np.arange(0, 32, 8, dtype=np.uint32).reshape(4, 1)
    return ((np.reshape(word, -1) >> shifts) & np.uint32(255)).astype(np.uint8).view(target)


def _dot_packed(target: type[np.generic], wide: type[np.generic]) -> Callable[[Any, Any], Any]:
    return lambda a, b: (_bytes(a, target).astype(wide) * _bytes(b, target).astype(wide)).sum(
        axis=0, dtype=wide
    )


def unpack2x16float(word: Any) -> Any:
    halves = [(np.reshape(word, -1) >> np.uint32(s)).astype(np.uint16).view(np.float16) for s in (0, 16)]
    return np.stack(halves).astype(np.float32)


def pack2x16float(value: Any) -> Any:
    low, high = value.astype(np.float16).view(np.uint16).astype(np.uint32)
    return low | (high << np.uint32(16))


def leading_zeros(value: Any) -> Any:
    bits = np.frexp(np.asarray(value, np.float64))[1]  # 0 of 0
    return (32 - bits).astype(value.dtype)


def first_leading_bit(value: Any) -> Any:
    assert value.dtype == np.uint32, "firstLeadingBit of unsigned integers"
    return (31 - leading_zeros(value).astype(np.int64)).astype(np.uint32)


def extract_bits(value: Any, offset: Any, count: Any) -> Any:
    """Bits, of signed integers with the sign that they then have."""
    rest = np.uint32(32) - np.asarray(count, np.uint32)
    top = bitcast("u32", value) << (rest - np.asarray(offset, np.uint32))
    return np.where(rest == 32, value.dtype.type(0), shift_right(bitcast(_NAMES[value.dtype], top), rest))


def _float(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda a: function(concrete(a))


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "select": select,
    "min": _least,
    "max": _most,
    "clamp": clamp,
    "dot": dot,
    "abs": np.abs,
    "sign": np.sign,
    "any": lambda a: a.any(axis=0),
    "all": lambda a: a.all(axis=0),
    "pow": lambda a, b: np.power(*_pair(a, b)),
    "fma": lambda a, b, c: a * b + c,
    **{
        name: _float(getattr(np, numpy))
        for name, numpy in {
            **{n: n for n in ("floor", "ceil", "trunc", "sqrt", "exp", "exp2", "log", "log2")},
            **{n: n for n in ("sin", "cos", "tan", "tanh")},
            "round": "rint",
        }.items()
    },
    "unpack2x16float": unpack2x16float,
    "pack2x16float": pack2x16float,
    "dot4I8Packed": _dot_packed(np.int8, np.int32),
    "dot4U8Packed": _dot_packed(np.uint8, np.uint32),
    "countLeadingZeros": leading_zeros,
    "firstLeadingBit": first_leading_bit,
    "extractBits": extract_bits,
}
