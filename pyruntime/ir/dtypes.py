"""Element types: names, sizes and classes, without NumPy."""

from __future__ import annotations

from enum import Enum


class DType(Enum):
    """An element type; the value is its NumPy name, which is also its name in packs."""

    BOOL = "bool"
    I8 = "int8"
    I16 = "int16"
    I32 = "int32"
    I64 = "int64"
    U8 = "uint8"
    U16 = "uint16"
    U32 = "uint32"
    U64 = "uint64"
    F16 = "float16"
    F32 = "float32"
    F64 = "float64"

    @property
    def bits(self) -> int:
        """Bits that one element takes in memory; 8 for bool."""
        return _BITS[self]

    @property
    def bytes(self) -> int:
        """Bytes that one element takes in memory."""
        return self.bits // 8

    @property
    def is_float(self) -> bool:
        """Whether this is a floating-point type."""
        return self.value.startswith("float")

    @property
    def is_unsigned(self) -> bool:
        """Whether this is an unsigned integer type (bool is none)."""
        return self.value.startswith("uint")

    @property
    def is_integer(self) -> bool:
        """Whether this is an integer type (bool is none)."""
        return self is not DType.BOOL and not self.is_float

    def __repr__(self) -> str:
        return self.value


_BITS = {d: 8 if d is DType.BOOL else int("".join(filter(str.isdigit, d.value))) for d in DType}


def sums_exactly(a: DType, b: DType) -> bool:
    """Whether products of elements of a and b are summed in int32: 16 bits at most, and 8 bits."""
    return a in (DType.I8, DType.U8, DType.I16) and b in (DType.I8, DType.U8)


def product_dtype(a: DType, b: DType) -> DType:
    """The dtype of a sum of products of elements of a and b: int32, modulo 2^32, or else a."""
    return DType.I32 if sums_exactly(a, b) else a
