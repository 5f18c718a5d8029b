"""Proves that 64-bit integer trees stay within the 32-bit words that hold them on a GPU, by intervals.

An int64 element is stored as i32 and a uint64 element as u32, so what a tree loads fits by contract. What it
computes fits only where that can be shown: from narrow types, constants, indices and sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pyruntime.ir.dtypes import DType
from pyruntime.ir.scalar import Call, Const, Scalar

Interval = tuple[int, int]

# a symbolic dim is taken to be at most this along one axis
DIM_LIMIT = 1 << 24


class TooWideError(ValueError):
    """A 64-bit integer may leave the 32-bit word that holds it."""


def stored(dtype: DType) -> Interval:
    """The least and greatest value that a word holding an integer or bool of `dtype` can have."""
    if dtype is DType.BOOL:
        return 0, 1
    bits = min(dtype.bits, 32)
    return (0, 2**bits - 1) if dtype.is_unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


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

    Raises:
        TooWideError: where a 64-bit integer inside the tree may not fit its 32-bit word.
    """
    known = {} if known is None else known
    if id(tree) not in known:
        known[id(tree)] = _bounds(tree, leaf, known)
    return known[id(tree)]


def _bounds(tree: Scalar, leaf: Callable[[Scalar], Interval | None], known: dict[int, Interval]) -> Interval:
    args = [bounds(a, leaf, known) for a in tree.args] if isinstance(tree, Call) else []
    if tree.dtype.is_float:
        return 0, 0
    least, most = stored(tree.dtype)
    if tree.dtype is DType.BOOL:
        return least, most
    found = _integer(tree, args, leaf)
    if found is None:
        return least, most
    low, high = found
    if least <= low and high <= most:
        return low, high
    if tree.dtype.bits == 64:
        name = tree.function if isinstance(tree, Call) else type(tree).__name__.lower()
        raise TooWideError(
            f"64-bit integer arithmetic needs range analysis: the result of {name} may leave 32 bits"
        )
    return least, most  # wraps, as on every target


def _integer(
    tree: Scalar, args: list[Interval], leaf: Callable[[Scalar], Interval | None]
) -> Interval | None:
    if isinstance(tree, Const):
        return int(tree.value), int(tree.value)
    if not isinstance(tree, Call):
        return leaf(tree)
    if tree.function == "cast":
        # a float saturates at the word's limits
        return None if tree.args[0].dtype.is_float else args[0]
    if tree.function == "bitcast":
        return None
    return _RULES[tree.function](*args)
