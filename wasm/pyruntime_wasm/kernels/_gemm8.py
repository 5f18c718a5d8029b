"""How products of short integers use include/gemm8.h."""

from pyruntime.ir.dtypes import DType
from pyruntime.ir.views import Tensor

SLACK = 16  # elements that vector copies may write past what they fill
# the same of split8.h: columns of a vector may hold eight strays, of 24 bytes, more than are wanted
STRAYS = 112
# pairs of weights whose products with bytes, and two such pairs, add up within int16
_PAIR = (-64, 63)
_OCTET = (-128, 128)


def by_bytes(a: Tensor, b: Tensor) -> bool:
    """Whether engines that multiply bytes are given a and b as such: a of bytes, b of signed ones."""
    return a.dtype is not DType.I16 and b.dtype is DType.I8


def gemm8_form(a: Tensor, b: Tensor, *, split: bool = False) -> str:
    """The C expression of the form in which a is packed to meet b; the kernel may be able to `split` a."""
    if not by_bytes(a, b):
        return "GEMM8_WORDS"
    known = b.kind == "weight"  # what kernels write is found out by another target
    pairs, octets = known and _within(b.interval, _PAIR), known and _within(b.octets, _OCTET)
    return f"gemm8_form({int(pairs)}, {int(octets)}, {int(split)})"


def _within(interval: tuple[int, int] | None, limits: tuple[int, int]) -> bool:
    return interval is not None and limits[0] <= interval[0] and interval[1] <= limits[1]
