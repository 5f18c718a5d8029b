"""How NumPy and Python write numbers: an independent word on the fewest digits that are read back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dtypes import DType
from pyruntime.ir.strings import END

NATIVE: dict[DType, Any] = {DType.F16: np.float16, DType.F32: np.float32, DType.F64: np.float64}
_SPECIAL = {"nan": "NaN", "inf": "INF", "-inf": "-INF"}


def text_of(value: Any, of: DType) -> str:
    """The text of a number of a type that NumPy has."""
    if of is DType.F64:  # Python says it all
        return _SPECIAL.get(repr(float(value)), repr(float(value)))
    with np.errstate(over="ignore"):
        scientific = np.format_float_scientific(NATIVE[of](value), unique=True, trim="0", exp_digits=2)
    if "e" not in scientific:
        return _SPECIAL[scientific]
    # Python puts the digits where they belong, since double precision has all that are this short
    return repr(float(scientific))


def rows_of_numbers(values: NDArray[Any], of: DType) -> NDArray[np.uint8]:
    """What FormatNumber gives: uint8 [numbers, width]."""
    width = 24 if of is DType.F64 else 19
    texts = [text_of(v, of).encode() for v in values]
    return np.array([[*t, *[END] * (width - len(t))] for t in texts], np.uint8).reshape(len(texts), width)
