"""What the C library reads in text, and Python's integers: an independent word on what a numeral is worth."""

from __future__ import annotations

import ctypes
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dtypes import DType
from pyruntime.ir.strings import decode

_LIBRARY = ctypes.CDLL(None)
_LIBRARY.strtof.restype, _LIBRARY.strtod.restype = ctypes.c_float, ctypes.c_double
_LIBRARY.strtof.argtypes = _LIBRARY.strtod.argtypes = (ctypes.c_char_p, ctypes.c_void_p)
_LARGEST = 0x7F7FFFFF  # the bits of float32's greatest number


def words_of_rows(rows: NDArray[np.uint8], to: DType, odd: bool) -> NDArray[Any]:
    """What ParseNumber gives: uint32 [rows, words]."""
    strings = [decode(row.tobytes(), len(row), 1)[0] for row in rows]
    if to.is_integer:
        numbers = np.array([_integer(s, to) for s in strings], object)
        stored = (numbers & (2**64 - 1)).astype(np.uint64)
        return stored.view(np.uint32).reshape(-1, 2)[:, : max(1, to.bits // 32)]
    if to is DType.F64:
        return (
            np.array([_float(s, _LIBRARY.strtod) for s in strings], np.float64).view(np.uint32).reshape(-1, 2)
        )
    found = np.array([_float(s, _LIBRARY.strtof) for s in strings], np.float32).view(np.uint32)
    bits = [_odd(s, int(b)) if odd else int(b) for s, b in zip(strings, found, strict=True)]
    return np.array(bits, np.uint32).reshape(-1, 1)


def _float(text: str, read: Any) -> float:
    """NaN for what Python takes for no number; it also allows underscores and digits of other scripts."""
    try:
        known = float(text) if text.isascii() and "_" not in text else np.nan
    except ValueError:
        known = np.nan
    return float(np.nan if known != known else read(text.strip().encode(), None))


def _odd(text: str, bits: int) -> int:
    """The neighbour of a number between two whose last bit is one."""
    size, sign = bits & 0x7FFFFFFF, bits & 0x80000000
    if size > 0x7F800000 or "inf" in text.lower():
        return bits
    if size == 0x7F800000:
        return _LARGEST | sign
    nearest = Decimal(float(np.array(size, np.uint32).view(np.float32)))
    exact = Decimal(text.strip()).copy_abs()  # not abs, which rounds
    return bits if size & 1 or nearest == exact else bits + (1 if nearest < exact else -1)


def _integer(text: str, to: DType) -> int:
    low = 0 if to.is_unsigned else -(2 ** (to.width - 1))
    try:
        number = int(text) if text.isascii() and "_" not in text else low
    except ValueError:
        return low
    return number if low <= number < low + 2**to.width else low
