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
    # those below exist in graphs alone: kernels and packs hold their elements as integers, see `code`
    BF16 = "bfloat16"
    F8E4M3FN = "float8_e4m3fn"
    F8E4M3FNUZ = "float8_e4m3fnuz"
    F8E5M2 = "float8_e5m2"
    F8E5M2FNUZ = "float8_e5m2fnuz"
    F8E8M0 = "float8_e8m0fnu"
    F4E2M1 = "float4_e2m1fn"
    I4 = "int4"
    U4 = "uint4"
    I2 = "int2"
    U2 = "uint2"
    # exists at a model's ends alone: inside there are rows of bytes, see `ir/strings.py`
    STRING = "string"

    @property
    def code(self) -> DType | None:
        """The type whose integers hold this one's elements, one each; None for what kernels know itself.

        Of a type shorter than a byte the lower bits count; a string is one more axis of bytes.
        """
        return _CODES.get(self)

    @property
    def width(self) -> int:
        """Bits that tell elements apart; 8 for bool."""
        return _WIDTHS[self]

    @property
    def bits(self) -> int:
        """Bits that one element takes in memory; 8 for bool."""
        return max(self.width, 8)

    @property
    def bytes(self) -> int:
        """Bytes that one element takes in memory."""
        return self.bits // 8

    @property
    def is_float(self) -> bool:
        """Whether this is a floating-point type."""
        return self.value.startswith(("float", "bfloat"))

    @property
    def is_unsigned(self) -> bool:
        """Whether this is an unsigned integer type (bool is none)."""
        return self.value.startswith("uint")

    @property
    def is_integer(self) -> bool:
        """Whether this is an integer type (bool is none)."""
        return self not in (DType.BOOL, DType.STRING) and not self.is_float

    @property
    def limits(self) -> tuple[int, int]:
        """The least and the greatest number of an integer type or bool."""
        if self is DType.BOOL:
            return 0, 1
        return (
            (0, 2**self.width - 1)
            if self.is_unsigned
            else (-(2 ** (self.width - 1)), 2 ** (self.width - 1) - 1)
        )

    def __repr__(self) -> str:
        return self.value


_WIDTHS = {d: int("".join(filter(str.isdigit, d.value[:8])) or 8) for d in DType}
_CODES = {
    DType.BF16: DType.U16,
    DType.STRING: DType.U8,
    **{d: DType.U8 for d in DType if d.value.startswith(("float8", "float4", "uint4", "uint2"))},
    **{d: DType.I8 for d in DType if d.value in ("int4", "int2")},
}
# what kernels compute with, and packs store
PLAIN = tuple(d for d in DType if d.code is None)

# integers of 64 bits -> the least and greatest that fit a 32-bit word of like sign
WORD_RANGES = {DType.I64: (-(2**31), 2**31 - 1), DType.U64: (0, 2**32 - 1)}


def needs_pair(dtype: DType, interval: tuple[int, int] | None) -> bool:
    """Whether integers of `dtype` that lie in `interval`, as far as known, may not fit one 32-bit word."""
    if dtype not in WORD_RANGES:
        return False
    low, high = WORD_RANGES[dtype]
    return interval is None or not low <= interval[0] <= interval[1] <= high


def words_of(dtype: DType) -> int:
    """32-bit words that an element needs."""
    return -(-dtype.bits // 32)


def sums_exactly(a: DType, b: DType) -> bool:
    """Whether products of elements of a and b are summed in int32: 16 bits at most, and 8 bits."""
    return a in (DType.I8, DType.U8, DType.I16) and b in (DType.I8, DType.U8)


def product_dtype(a: DType, b: DType) -> DType:
    """The dtype of a sum of products of elements of a and b: int32, modulo 2^32, or else a."""
    return DType.I32 if sums_exactly(a, b) else a
