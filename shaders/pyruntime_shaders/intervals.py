"""What integer trees can give, by intervals: which of 64 bits fit the 32-bit words of a GPU.

What does not is computed, and stored, as pairs of words (see `pairs`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pyruntime.ir.dtypes import WORD_RANGES, DType
from pyruntime.ir.scalar import Call, Const, Scalar

Interval = tuple[int, int]

# a symbolic dim is taken to be at most this along one axis
DIM_LIMIT = 1 << 24


def limits(dtype: DType) -> Interval:
    """The least and greatest value of an integer type or bool."""
    if dtype is DType.BOOL:
        return 0, 1
    bits = dtype.bits
    return (0, 2**bits - 1) if dtype.is_unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def stored(dtype: DType) -> Interval:
    """The least and greatest value that one word holding an integer or bool of `dtype` can have."""
    return WORD_RANGES.get(dtype) or limits(dtype)


def _hull(values: list[int]) -> Interval:
    return min(values), max(values)


def _corners(function: Callable[[int, int], int]) -> Callable[..., Interval]:
    """The interval of a function that is monotonic in each argument."""
    return lambda a, b: _hull([function(x, y) for x in a for y in b])


def _magnitude(a: Interval) -> int:
    return max(abs(a[0]), abs(a[1]))


def _quotient(a: Interval, b: Interval) -> Interval:
    if b[0] > 0:
        return -(max(-a[0], 0) // b[0]), max(a[1], 0) // b[0]
    most = _magnitude(a) // max(-b[1], 1)
    return -most, most


def _remainder(a: Interval, b: Interval) -> Interval:
    most = min(_magnitude(a), max(_magnitude(b) - 1, 0))
    return (-most if a[0] < 0 else 0), (most if a[1] > 0 else 0)


def _modulus(_: Interval, b: Interval) -> Interval:
    return min(b[0] + 1, 0), max(b[1] - 1, 0)


def _bits(a: Interval, b: Interval) -> Interval:
    low, high = min(a[0], b[0]), max(a[1], b[1])
    bits = max(-low - 1, high, 0).bit_length()
    return (-(1 << bits) if low < 0 else 0), (1 << bits) - 1


def _and(a: Interval, b: Interval) -> Interval:
    masks = [x[1] for x in (a, b) if x[0] >= 0]
    return (0, min(masks)) if masks else _bits(a, b)


def _power(a: Interval, b: Interval) -> Interval:
    if b[1] > 64:
        return -(2**64), 2**64
    most = max(_magnitude(a), 1) ** max(b[1], 0)
    return (-most if a[0] < 0 else 0), most


_RULES: Mapping[str, Callable[..., Interval]] = {
    "add": _corners(lambda x, y: x + y),
    "sub": _corners(lambda x, y: x - y),
    "mul": _corners(lambda x, y: x * y),
    "min": _corners(min),
    "max": _corners(max),
    "div": _quotient,
    "rem": _remainder,
    "mod": _modulus,
    "ipow": _power,
    "neg": lambda a: (-a[1], -a[0]),
    "abs": lambda a: (0 if a[0] <= 0 <= a[1] else min(abs(a[0]), abs(a[1])), _magnitude(a)),
    "sign": lambda a: (max(min(a[0], 1), -1), max(min(a[1], 1), -1)),
    "select": lambda _, a, b: (min(a[0], b[0]), max(a[1], b[1])),
    "bit_and": _and,
    "bit_or": _bits,
    "bit_xor": _bits,
    "bit_not": lambda a: (-a[1] - 1, -a[0] - 1),
    "shift_left": _corners(lambda x, y: x << min(max(y, 0), 64)),
    "shift_right": lambda a, _: (min(a[0], 0), max(a[1], 0)),
}


def bounds(
    tree: Scalar, leaf: Callable[[Scalar], Interval | None], known: dict[int, Interval] | None = None
) -> Interval:
    """The least and greatest value of a bool or integer tree; for floats an interval without meaning.

    Args:
        tree: the expression.
        leaf: what is known of a leaf (Load, Index, Size, Acc) beyond its dtype, or None.
        known: results by node id, filled in.
    """
    known = {} if known is None else known
    if id(tree) not in known:
        args = [bounds(a, leaf, known) for a in tree.args] if isinstance(tree, Call) else []
        known[id(tree)] = interval(tree, args, leaf)
    return known[id(tree)]


def interval(tree: Scalar, args: Sequence[Interval], leaf: Callable[[Scalar], Interval | None]) -> Interval:
    """`bounds` of a tree whose arguments, if it is a call, have these."""
    if tree.dtype.is_float:
        return 0, 0
    least, most = limits(tree.dtype)
    found = None if tree.dtype is DType.BOOL else _integer(tree, args, leaf)
    # what leaves the type's range wraps, as on every target
    return found if found is not None and least <= found[0] <= found[1] <= most else (least, most)


def _integer(
    tree: Scalar, args: Sequence[Interval], leaf: Callable[[Scalar], Interval | None]
) -> Interval | None:
    if isinstance(tree, Const):
        return int(tree.value), int(tree.value)
    if not isinstance(tree, Call):
        return leaf(tree)
    if tree.function == "cast":
        return None if tree.args[0].dtype.is_float else args[0]
    if tree.function == "bitcast":
        return None
    return _RULES[tree.function](*args)
