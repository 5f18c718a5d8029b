"""64-bit integers that need not fit 32 bits: pairs of words, the lower first, and what computes with them.

WGSL has no such type. A value is a `vec2<u32>` whatever its sign; the functions are in `templates/pairs.wgsl`
and wrap modulo 2^64, as integers do on every target.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyruntime.ir.dtypes import DType

TYPE = "vec2<u32>"

# function -> its text, which may name the operands' type
_TABLE = {
    "add": "add_64({0}, {1})",
    "sub": "sub_64({0}, {1})",
    "mul": "mul_64({0}, {1})",
    "div": "div_{type}({0}, {1})",
    "min": "min_{type}({0}, {1})",
    "max": "max_{type}({0}, {1})",
    "mod": "mod_{type}({0}, {1})",
    "rem": "rem_{type}({0}, {1})",
    "ipow": "ipow_i64({0}, {1})",
    "neg": "neg_64({0})",
    "abs": "abs_{type}({0})",
    "sign": "sign_{type}({0})",
    "eq": "all({0} == {1})",
    "ne": "any({0} != {1})",
    "lt": "less_{type}({0}, {1})",
    "le": "(!less_{type}({1}, {0}))",
    "gt": "less_{type}({1}, {0})",
    "ge": "(!less_{type}({0}, {1}))",
    "bit_and": "({0} & {1})",
    "bit_or": "({0} | {1})",
    "bit_xor": "({0} ^ {1})",
    "bit_not": "(~{0})",
    "shift_left": "shift_left_64({0}, {1})",
    "shift_right": "shift_right_{type}({0}, {1})",
    "select": "select({2}, {1}, {0})",
}


def _name(dtype: DType) -> str:
    return "u64" if dtype.is_unsigned else "i64"


def apply(function: str, dtype: DType, args: Sequence[str]) -> str:
    """A function of pairs that hold `dtype`: a pair, or a bool for comparisons."""
    return _TABLE[function].format(*args, type=_name(dtype))


def literal(value: int) -> str:
    """A constant."""
    return f"{TYPE}({value % 2**32}u, {(value >> 32) % 2**32}u)"


def from_value(text: str, source: DType, target: DType) -> str:
    """A value in one register as a pair that holds `target`: integers wrap, floats truncate and saturate."""
    if source.is_float:
        return f"to_{_name(target)}({text})"
    if source is DType.BOOL:
        return f"{TYPE}(u32({text}), 0u)"
    return f"{TYPE}({text}, 0u)" if source.is_unsigned else f"extended({text})"


def to_value(text: str, source: DType, target: DType) -> str:
    """A pair that holds `source` in one register as `target` needs it: float32, bool, or the lower word."""
    if target.is_float:
        return f"f32_{_name(source)}({text})"
    if target is DType.BOOL:
        return f"any({text} != {TYPE}())"
    return f"{text}.x" if target.is_unsigned else f"bitcast<i32>({text}.x)"


def index(text: str, source: DType) -> str:
    """A pair that holds `source` as an i32; what does not fit becomes one that is outside of everything."""
    return f"index_{_name(source)}({text})"
