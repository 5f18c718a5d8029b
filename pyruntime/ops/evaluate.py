"""Evaluates scalar trees with NumPy: the meaning of each function of `ir.scalar`, on arrays and on dims."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir import dims
from pyruntime.ir.conditions import choose, equal, less, truth
from pyruntime.ir.dims import Dim, Expr
from pyruntime.ir.dtypes import DType
from pyruntime.ir.scalar import Acc, Call, Const, Index, Load, Scalar, Size, walk

Array = NDArray[Any]

_erf = np.frompyfunc(math.erf, 1, 1)
_truth = np.frompyfunc(truth, 1, 1)


def _divide(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    quotient = np.floor_divide(a, b)
    # floor to truncation: one more where the signs differ and something remains
    return np.asarray(quotient + ((np.remainder(a, b) != 0) & ((a < 0) != (b < 0))).astype(a.dtype))


def _integer_power(base: Array, exponent: Array) -> Array:
    """Wraps on overflow; a negative exponent truncates the real result (0 but for bases 1 and -1)."""
    power = np.power(base, np.maximum(exponent, 0))
    unit = np.power(base, np.abs(exponent % 2))
    return np.where(exponent >= 0, power, np.where(np.abs(base) == 1, unit, 0)).astype(base.dtype)


_NUMPY: Mapping[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": _divide,
    "min": np.minimum,
    "max": np.maximum,
    "mod": np.mod,
    "rem": np.fmod,
    "pow": np.power,
    "atan2": np.arctan2,
    "ipow": _integer_power,
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
    "trunc": np.trunc,
    "sqrt": np.sqrt,
    "exp": np.exp,
    "log": np.log,
    "erf": lambda a: np.asarray(_erf(a.astype(np.float64))).astype(np.float64),
    "tanh": np.tanh,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "is_nan": np.isnan,
    "is_inf": np.isinf,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "xor": np.logical_xor,
    "not": np.logical_not,
    "bit_and": np.bitwise_and,
    "bit_or": np.bitwise_or,
    "bit_xor": np.bitwise_xor,
    "bit_not": np.bitwise_not,
    "shift_left": np.left_shift,
    "shift_right": np.right_shift,
    "select": np.where,
}


def _truncating_quotient(a: Dim, b: Dim) -> Dim:
    """a / b towards zero. Raises TypeError where b's sign is not known."""
    if dims.divides(b, a):
        return dims.floordiv(a, b)
    if dims.at_least(-1, b):
        a, b = -a, -b
    if not dims.at_least(b, 1):
        raise TypeError(f"the sign of {b} is not known")
    if dims.at_least(a, 0):
        return dims.floordiv(a, b)
    return dims.floordiv(dims.maximum(a, 0), b) - dims.floordiv(dims.maximum(-a, 0), b)


def _select(condition: Dim, a: Any, b: Any) -> Dim:
    if not isinstance(condition, int) and not all(isinstance(x, (int, Expr)) for x in (a, b)):
        raise TypeError("a choice between values that are no dims is not a dim")
    return choose(condition, a, b)


_DIMS: Mapping[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": _truncating_quotient,
    "mod": dims.mod,
    "rem": lambda a, b: a - _truncating_quotient(a, b) * b,
    "min": dims.minimum,
    "max": dims.maximum,
    "neg": lambda a: -a,
    "abs": lambda a: dims.maximum(a, -a),
    "eq": equal,
    "ne": lambda a, b: 1 - equal(a, b),
    "ge": lambda a, b: 1 - less(a, b),
    "gt": lambda a, b: less(b, a),
    "le": lambda a, b: 1 - less(b, a),
    "lt": less,
    "and": dims.minimum,
    "or": dims.maximum,
    "xor": lambda a, b: 1 - equal(a, b),
    "not": lambda a: 1 - a,
    "select": _select,
}


def convert(array: Array, dtype: DType) -> Array:
    """array as trees cast it: floats to integers truncate and saturate, NaN gives 0; integers wrap."""
    target = np.dtype(dtype.value)
    if array.dtype == target:
        return array
    if array.dtype == object:
        if dtype.is_float:
            raise TypeError(f"a dim cannot become {dtype!r}")
        return array if dtype.is_integer else np.asarray(_truth(array), dtype=object)
    if dtype is DType.BOOL:
        return np.asarray(array != 0)
    if array.dtype.kind != "f" or dtype.is_float:
        with np.errstate(all="ignore"):
            return np.asarray(array).astype(target)
    limits = np.iinfo(target)
    whole = np.trunc(array.astype(np.float64))
    # limits.max may round up as a float, so that values from there on are set apart
    above, below = whole >= float(limits.max), whole <= float(limits.min)
    inside = np.where(above | below | np.isnan(whole), 0, whole).astype(target)
    return np.where(above, target.type(limits.max), np.where(below, target.type(limits.min), inside))


def evaluate(
    tree: Scalar,
    operands: Sequence[Array | None],
    *,
    index: Sequence[Array] | None = None,
    acc: Sequence[Array] = (),
    sizes: Sequence[int] = (),
) -> Array:
    """The tree's values over the broadcast shape of the leaves it uses.

    Args:
        tree: the expression.
        operands: what Load leaves give; None for one that the tree does not load. Of the Load's dtype, or of
            dtype object with dims as elements (then only integer arithmetic, comparisons and logic are
            possible; a truth is a dim that is 0 or 1). Tables of `lookup` are whole: 256 elements.
        index: what Index leaves give, an integer array for each axis.
        acc: what Acc leaves give; cast to the leaf's dtype.
        sizes: what Size leaves give.

    Raises:
        TypeError: for a function of dims whose result cannot be written as a dim.
    """
    # by node: trees share subtrees
    known: dict[int, Array] = {}

    def leaf(node: Scalar) -> Array:
        match node:
            case Load():
                array = operands[node.operand]
                assert array is not None, f"operand {node.operand} is absent"
                assert array.dtype in (np.dtype(node.dtype.value), object), (array.dtype, node)
                return array
            case Const():
                return np.asarray(node.value, dtype=node.dtype.value)
            case Index():
                assert index is not None, f"{node} outside an iteration space"
                return index[node.axis].astype(node.dtype.value)
            case Size():
                return np.asarray(sizes[node.slot], dtype=node.dtype.value)
            case Acc():
                return convert(np.asarray(acc[node.index]), node.dtype)
        raise TypeError(f"not a leaf: {node!r}")

    with np.errstate(all="ignore"):
        for node in walk(tree):
            known[id(node)] = (
                _apply(node, [known[id(a)] for a in node.args]) if isinstance(node, Call) else leaf(node)
            )
    return np.asarray(known[id(tree)])


def _apply(node: Call, args: list[Array]) -> Array:
    if node.function == "cast":
        return convert(args[0], node.dtype)
    if node.function == "bitcast":
        return args[0].view(node.dtype.value)
    if any(a.dtype == object for a in args):
        if node.function not in _DIMS:
            raise TypeError(f"{node.function} of dims is not a dim")
        function = np.frompyfunc(_DIMS[node.function], len(args), 1)
        result = np.asarray(function(*(a.astype(object) for a in args)), dtype=object)
        return result.astype(node.dtype.value) if node.dtype.is_float else result
    if node.function == "lookup":
        table, index = args
        return np.asarray(table[index.view(np.uint8)])
    # half precision is computed in single and rounded once, as a machine does
    args = [a.astype(np.float32) if a.dtype == np.float16 else a for a in args]
    return np.asarray(_NUMPY[node.function](*args)).astype(node.dtype.value, copy=False)
