"""Scalar expression trees: one element of an elementwise computation, printed to WGSL, C and NumPy.

Elementwise ops are small functions that build these trees; fusion composes them. The functions that a
`Call` may name are the rows of `FUNCTIONS`; each target has one printer row per function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from pyruntime.ir.dtypes import DType

Result = Literal["same", "bool"]


@dataclass(frozen=True)
class Scalar:
    """Base of all tree nodes; every node knows its dtype."""

    dtype: DType


@dataclass(frozen=True)
class Load(Scalar):
    """The element of kernel operand `operand` that belongs to the present iteration point."""

    operand: int


@dataclass(frozen=True)
class Const(Scalar):
    """A literal. Floats may be NaN or infinite; integers are within the dtype's range."""

    value: float | int | bool

    def __hash__(self) -> int:
        return hash((self.dtype, repr(self.value)))

    def __eq__(self, other: object) -> bool:
        # by repr: NaN equals itself, -0.0 differs from 0.0
        return isinstance(other, Const) and (self.dtype, repr(self.value)) == (other.dtype, repr(other.value))


@dataclass(frozen=True)
class Index(Scalar):
    """The iteration index along `axis` of the kernel's iteration space (I32 or I64)."""

    axis: int


@dataclass(frozen=True)
class Size(Scalar):
    """An integer dim expression as a value; `slot` numbers the kernel's size parameters."""

    slot: int


@dataclass(frozen=True)
class Acc(Scalar):
    """Result number `index` of the structured part of a kernel (a sum of products, a reduction)."""

    index: int = 0


@dataclass(frozen=True)
class Call(Scalar):
    """A function of `FUNCTIONS`, or `cast`, `bitcast` (to `dtype`) or `lookup`, applied to trees."""

    function: str
    args: tuple[Scalar, ...]


@dataclass(frozen=True)
class Function:
    """A scalar primitive: operand count, result type, and for which operand classes it exists.

    `domain` holds letters: f float, i signed integer, u unsigned integer, b bool.
    """

    name: str
    arity: int
    result: Result = "same"
    domain: str = "fiu"


# Integer division truncates towards zero, remainder has the dividend's sign (as C); `mod` has the divisor's
# sign (as Python). min, max propagate NaN. round is half to even. shifts are logical for unsigned types.
# select(c, a, b) is a where the bool c holds, else b. is_nan, is_inf test bits.
FUNCTIONS: dict[str, Function] = {
    f.name: f
    for f in [
        *(Function(n, 2) for n in ("add", "sub", "mul", "div", "min", "max", "mod", "rem")),
        *(Function(n, 2, domain="f") for n in ("pow", "atan2")),
        *(Function(n, 2, domain="i") for n in ("ipow",)),
        *(Function(n, 1) for n in ("neg", "abs", "sign")),
        *(
            Function(n, 1, domain="f")
            for n in (
                *("floor", "ceil", "round", "trunc", "sqrt", "exp", "log", "erf", "tanh"),
                *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh"),
            )
        ),
        *(Function(n, 1, "bool", "f") for n in ("is_nan", "is_inf")),
        *(Function(n, 2, "bool", "fiub") for n in ("eq", "ne", "lt", "le", "gt", "ge")),
        *(Function(n, 2, domain="b") for n in ("and", "or", "xor")),
        Function("not", 1, domain="b"),
        *(Function(n, 2, domain="iu") for n in ("bit_and", "bit_or", "bit_xor", "shift_left", "shift_right")),
        Function("bit_not", 1, domain="iu"),
        Function("select", 3, domain="fiub"),
    ]
}


TABLE = 256  # elements of what `lookup` looks up in


def call(function: str, *args: Scalar) -> Scalar:
    """A checked Call; its dtype follows from the arguments. Raises TypeError for a misuse."""
    row = FUNCTIONS[function]
    values = args[1:] if function == "select" else args
    dtype = values[0].dtype
    if len(args) != row.arity or any(a.dtype is not dtype for a in values):
        raise TypeError(f"{function} of {[a.dtype for a in args]}")
    letter = "b" if dtype is DType.BOOL else "f" if dtype.is_float else "u" if dtype.is_unsigned else "i"
    if letter not in row.domain and not (function in ("min", "max") and letter == "b"):
        raise TypeError(f"{function} is not defined for {dtype!r}")
    return Call(DType.BOOL if row.result == "bool" else dtype, function, args)


def cast(value: Scalar, dtype: DType) -> Scalar:
    """value converted to dtype: floats to integers truncate, anything to bool is `!= 0`."""
    if value.dtype is dtype:
        return value
    if isinstance(value, Const) and not (isinstance(value.value, float) and not dtype.is_float):
        v = value.value
        return Const(dtype, bool(v) if dtype is DType.BOOL else float(v) if dtype.is_float else int(v))
    return Call(dtype, "cast", (value,))


def bitcast(value: Scalar, dtype: DType) -> Scalar:
    """The bits of value as another type of 32 or 64 bits; of integers also shorter ones."""
    if value.dtype.width != dtype.width or DType.BOOL in (value.dtype, dtype):
        raise TypeError(f"{value.dtype!r} and {dtype!r} have unlike bits")
    if value.dtype.is_float == dtype.is_float:
        return cast(value, dtype)
    if dtype.width < 32:
        raise TypeError(f"bits of {value.dtype!r} as {dtype!r}")
    return Call(dtype, "bitcast", (value,))


def lookup(table: Load, index: Scalar) -> Scalar:
    """Element `index` modulo 256 of a table: the 256 elements that begin with the one that `table` loads.

    The index has 8 bits; the operand's view has no strides. For Wasm alone, where the converter makes them.
    """
    if not index.dtype.is_integer or index.dtype.width != 8:
        raise TypeError(f"an index of {index.dtype!r} into a table")
    return Call(table.dtype, "lookup", (table, index))


def transform(tree: Scalar, leaf: Callable[[Scalar], Scalar]) -> Scalar:
    """tree with every leaf (anything but a Call) replaced by leaf(node); what is shared stays shared."""
    done: dict[int, Scalar] = {}
    for node in walk(tree):
        if isinstance(node, Call):
            args = tuple(done[id(a)] for a in node.args)
            same = all(a is b for a, b in zip(args, node.args, strict=True))
            done[id(node)] = node if same else Call(node.dtype, node.function, args)
        else:
            done[id(node)] = leaf(node)
    return done[id(tree)]


def walk(tree: Scalar) -> Iterator[Scalar]:
    """The distinct nodes by identity, children before parents: linear in trees that share subtrees."""
    seen: set[int] = set()
    pending = [(tree, False)]
    while pending:
        node, finished = pending.pop()
        if finished:
            yield node
        elif id(node) not in seen:
            seen.add(id(node))
            pending.append((node, True))
            if isinstance(node, Call):
                pending += [(arg, False) for arg in reversed(node.args)]


def tables_of(tree: Scalar) -> set[int]:
    """Operands that the tree looks up in."""
    calls = [n for n in walk(tree) if isinstance(n, Call) and n.function == "lookup"]
    return {table.operand for table in (n.args[0] for n in calls) if isinstance(table, Load)}


# operations that one element costs on a CPU, for deciding what to compute twice
_COST = {
    "exp": 12,
    "log": 12,
    "erf": 16,
    "tanh": 14,
    "pow": 24,
    "div": 4,
    "sqrt": 4,
    "sin": 16,
    "cos": 16,
    "lookup": 4,
}


def cost(tree: Scalar) -> int:
    """Roughly how many simple operations the tree takes per element."""
    return sum(_COST.get(n.function, 1) for n in walk(tree) if isinstance(n, Call))
