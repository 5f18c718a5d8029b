"""Between API dtypes and the elements of GPU buffers: words of 32 bits, pairs of them, or as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyruntime.errors import InputError
from pyruntime.ir.dtypes import DType

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

WORD = 4


def widen(data: memoryview, dtype: DType, stored: str) -> NDArray[Any]:
    """The elements as the GPU holds them. Raises InputError, without a tensor's name, for what does not fit.

    Args:
        data: elements of dtype.
        stored: "float32", "int32", "uint32", of pairs "int64" or "uint64", or "float16", "int8" or "uint8",
            which are filled up to whole words.
    """
    import numpy as np

    elements = np.frombuffer(data, dtype.value)
    if dtype.bits == 64 and stored != dtype.value:
        limits = np.iinfo(stored)
        bad = np.flatnonzero((elements < limits.min) | (elements > limits.max))
        if len(bad):
            raise InputError(
                f"{elements[bad[0]]} at element {bad[0]} does not fit {stored}, as which WebGPU holds"
                f" {dtype.value}; use device='wasm'"
            )
    held = elements.astype(stored, copy=False)
    missing = -held.nbytes % WORD // held.itemsize
    return np.concatenate([held, np.zeros(missing, held.dtype)]) if missing else held


def narrow(words: memoryview, stored: str, dtype: DType) -> memoryview:
    """Bytes of new elements of dtype, from GPU memory that is about to go away."""
    import numpy as np

    elements = np.frombuffer(words, stored)
    convert: Callable[[Any], NDArray[Any]] = (
        (lambda e: e != 0) if dtype is DType.BOOL else lambda e: e.astype(dtype.value)
    )
    with np.errstate(over="ignore"):  # float32 past float16's range is infinite, as on every device
        return memoryview(convert(elements).view(np.uint8).data)
