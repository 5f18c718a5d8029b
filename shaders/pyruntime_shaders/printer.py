"""Prints scalar trees as WGSL: one table row per function, `let` statements for what is used twice.

Values live in registers as bool, i32 (signed integers), u32 (unsigned integers) or f32 (floats up to 32
bits); integers narrower than 32 bits are wrapped after every operation that can leave their range. Those of
64 bits are pairs of words where their interval does not fit one.

Transcendental functions are built in `templates/functions.wgsl` from exp, log, exp2, log2 and arithmetic, so
that drivers agree: within about 1e-6, relative or absolute, for sin, cos and tan up to arguments of 10^4; pow
loses digits as its result grows (1e-5). Division is within 2.5 units in the last place. NaN is tested by bits
in is_nan, min, max, sign, casts to bool and the functions of that file; comparisons and plain arithmetic
leave NaN and infinity to the driver.
"""

from __future__ import annotations

import functools
import math
import re
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pyruntime.ir.dtypes import DType, needs_pair
from pyruntime.ir.scalar import Call, Const, Scalar
from pyruntime.ops.evaluate import evaluate
from pyruntime_shaders import pairs
from pyruntime_shaders.intervals import Interval, interval

LINE = 88  # longer expressions are split by a let


class Unprintable(ValueError):  # noqa: N818 - not an error of the program, but a reason for one
    """Why a tree has no WGSL."""


# dtype -> type of its words in storage, where one holds an element; values are the same, but for bool
STORAGE: dict[DType, str] = {
    DType.BOOL: "u32",
    DType.I8: "i32",
    DType.I16: "i32",
    DType.I32: "i32",
    DType.I64: "i32",
    DType.U8: "u32",
    DType.U16: "u32",
    DType.U32: "u32",
    DType.U64: "u32",
    DType.F16: "f32",
    DType.F32: "f32",
}


def storage_type(dtype: DType, pair: bool = False) -> str:
    """The WGSL type of one stored element. Raises Unprintable for float64."""
    if dtype not in STORAGE:
        raise Unprintable(f"WebGPU has no {dtype!r}")
    return pairs.TYPE if pair else STORAGE[dtype]


def value_type(dtype: DType, pair: bool = False) -> str:
    """The WGSL type of one value in a register. Raises Unprintable for float64."""
    return "bool" if dtype is DType.BOOL else storage_type(dtype, pair)


class Row(NamedTuple):
    """How a function reads for values of each class; empty where `ir.scalar.FUNCTIONS` does not define it.

    `wraps`: the result may leave the range of an integer type narrower than 32 bits.
    """

    f: str = ""
    i: str = ""
    u: str = ""
    b: str = ""
    wraps: bool = False


def _numbers(text: str, *, wraps: bool = False) -> Row:
    return Row(text, text, text, wraps=wraps)


def _floats(text: str) -> Row:
    return Row(f=text)


TABLE: dict[str, Row] = {
    "add": _numbers("({0} + {1})", wraps=True),
    "sub": _numbers("({0} - {1})", wraps=True),
    "mul": _numbers("({0} * {1})", wraps=True),
    "div": Row("({0} / {1})", "div_i32({0}, {1})", "div_u32({0}, {1})", wraps=True),
    "min": Row("min_f32({0}, {1})", "min({0}, {1})", "min({0}, {1})", "({0} & {1})"),
    "max": Row("max_f32({0}, {1})", "max({0}, {1})", "max({0}, {1})", "({0} | {1})"),
    "mod": Row("mod_f32({0}, {1})", "mod_i32({0}, {1})", "rem_u32({0}, {1})"),
    "rem": Row("rem_f32({0}, {1})", "rem_i32({0}, {1})", "rem_u32({0}, {1})"),
    "pow": _floats("pow_f32({0}, {1})"),
    "atan2": _floats("atan2_f32({0}, {1})"),
    "ipow": Row(i="ipow_i32({0}, {1})", wraps=True),
    "neg": Row("(-{0})", "(-{0})", "(0u - {0})", wraps=True),
    "abs": Row("abs({0})", "abs({0})", "{0}", wraps=True),
    "sign": Row("sign_f32({0})", "sign({0})", "min({0}, 1u)"),
    "floor": _floats("floor({0})"),
    "ceil": _floats("ceil({0})"),
    "round": _floats("round({0})"),
    "trunc": _floats("trunc({0})"),
    "sqrt": _floats("sqrt({0})"),
    "exp": _floats("exp_f32({0})"),
    "log": _floats("log_f32({0})"),
    "erf": _floats("erf_f32({0})"),
    "tanh": _floats("tanh_f32({0})"),
    "sin": _floats("sin_f32({0})"),
    "cos": _floats("cos_f32({0})"),
    "tan": _floats("tan_f32({0})"),
    "asin": _floats("asin_f32({0})"),
    "acos": _floats("acos_f32({0})"),
    "atan": _floats("atan_f32({0})"),
    "sinh": _floats("sinh_f32({0})"),
    "cosh": _floats("cosh_f32({0})"),
    "asinh": _floats("asinh_f32({0})"),
    "acosh": _floats("acosh_f32({0})"),
    "atanh": _floats("atanh_f32({0})"),
    "is_nan": _floats("is_nan({0})"),
    "is_inf": _floats("is_inf({0})"),
    "eq": _numbers("({0} == {1})")._replace(b="({0} == {1})"),
    "ne": _numbers("({0} != {1})")._replace(b="({0} != {1})"),
    "lt": _numbers("({0} < {1})")._replace(b="(!{0} & {1})"),
    "le": _numbers("({0} <= {1})")._replace(b="(!{0} | {1})"),
    "gt": _numbers("({0} > {1})")._replace(b="({0} & !{1})"),
    "ge": _numbers("({0} >= {1})")._replace(b="({0} | !{1})"),
    "and": Row(b="({0} & {1})"),
    "or": Row(b="({0} | {1})"),
    "xor": Row(b="({0} != {1})"),
    "not": Row(b="(!{0})"),
    "bit_and": Row(i="({0} & {1})", u="({0} & {1})"),
    "bit_or": Row(i="({0} | {1})", u="({0} | {1})"),
    "bit_xor": Row(i="({0} ^ {1})", u="({0} ^ {1})"),
    "shift_left": Row(i="shift_left_i32({0}, u32({1}))", u="shift_left_u32({0}, {1})", wraps=True),
    "shift_right": Row(i="shift_right_i32({0}, u32({1}))", u="shift_right_u32({0}, {1})"),
    "bit_not": Row(i="(~{0})", u="(~{0})", wraps=True),
    "select": _numbers("select({2}, {1}, {0})")._replace(b="select({2}, {1}, {0})"),
}

# min and max of floats where the second operand, or both, are known to be numbers
_NUMBER_BOUND = {
    "min": ("at_most({0}, {1})", "min({0}, {1})"),
    "max": ("at_least({0}, {1})", "max({0}, {1})"),
}

# functions that give NaN for nothing but NaN
_KEEPS_NUMBERS = {"abs", "neg", "min", "max", "sign", "floor", "ceil", "round", "trunc", "exp", "erf", "tanh"}

# (class of the source, class of the target) -> conversion; to bool and to floats of 16 bits see `cast_text`
_CASTS: dict[tuple[str, str], str] = {
    **{(c, c): "{0}" for c in "fiub"},
    **{(c, "f"): "f32({0})" for c in "iub"},
    **{(c, "i"): "i32({0})" for c in "ub"},
    **{(c, "u"): "u32({0})" for c in "ib"},
    ("f", "b"): "nonzero({0})",
    ("i", "b"): "({0} != 0)",
    ("u", "b"): "({0} != 0u)",
}


def letter(dtype: DType) -> str:
    """The operand class of `ir.scalar.Function.domain` that a dtype belongs to."""
    if dtype is DType.BOOL:
        return "b"
    return "f" if dtype.is_float else "u" if dtype.is_unsigned else "i"


_LARGEST = (2 - 2**-23) * 2.0**127  # of float32


def literal(value: float | int | bool, dtype: DType, pair: bool = False) -> str:
    """A constant of `dtype`; infinities and NaN are made at run time."""
    kind = letter(dtype)
    if pair:
        return pairs.literal(int(value))
    if kind == "b":
        return "true" if value else "false"
    if kind == "f":
        return _float_literal(float(value))
    whole = int(value)
    assert not needs_pair(dtype, (whole, whole)), f"{whole} in one word"
    if whole == -(2**31):
        return "i32(-2147483648)"
    return f"{whole}u" if kind == "u" else str(whole)


def _float_literal(value: float) -> str:
    if math.isnan(value):
        return "nan()"
    try:
        (rounded,) = struct.unpack("f", struct.pack("f", value))
    except OverflowError:
        rounded = math.copysign(math.inf, value)
    if math.isinf(rounded):
        return "infinity()" if rounded > 0 else "(-infinity())"
    if rounded == 0:
        return "bitcast<f32>(0x80000000u)" if math.copysign(1, value) < 0 else "0.0f"
    for digits in range(1, 18):
        text = f"{rounded:.{digits}g}"
        # what lies above the largest number is an error, although it would round to it
        if abs(float(text)) <= _LARGEST and struct.unpack("f", struct.pack("f", float(text)))[0] == rounded:
            break
    if "e" not in text and "." not in text:
        text += ".0"
    return f"{text}f".replace("e+", "e")


def _fill(form: str, args: Iterable[str]) -> str:
    """A table's text with arguments; those of a call need no parentheses of their own."""
    return form.format(*(map(bare, args) if re.match(r"\w+\(", form) else args))


def wrap(text: str, dtype: DType) -> str:
    """An integer brought back into the range of a type narrower than 32 bits."""
    if dtype is DType.BOOL or dtype.is_float or dtype.bits >= 32:
        return text
    return f"extractBits({text}, 0u, {dtype.bits}u)"


def cast_text(text: str, source: DType, target: DType, pair: tuple[bool, bool] = (False, False)) -> str:
    """A value converted: floats to integers truncate and saturate, integers wrap.

    `pair` says whether it is a pair before, and after.
    """
    if all(pair):
        return text
    if pair[1]:
        return pairs.from_value(text, source, target)
    if pair[0]:
        converted = pairs.to_value(text, source, target)
        return f"to_f16({converted})" if target is DType.F16 else wrap(converted, target)
    a, b = letter(source), letter(target)
    if a == "f" and b in "iu":
        bits = min(target.bits, 32)
        if b == "u":
            return f"to_u32({text}, {2**bits - 1}u)"
        low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        return f"to_i32({text}, {literal(low, target)}, {high})"
    if target is DType.F16 and source is not DType.F16:
        return f"to_f16({_fill(_CASTS[a, b], [text])})"
    converted = _fill(_CASTS[a, b], [text])
    narrows = b in "iu" and a in "iu" and (source.bits > target.bits or a != b)
    return wrap(converted, target) if narrows else converted


def apply(function: str, dtype: DType, args: Sequence[str], pair: bool = False) -> str:
    """A row of the table applied to texts; dtype is that of the values (not of a bool result)."""
    if pair:
        return pairs.apply(function, dtype, args)
    row = TABLE[function]
    text = _fill(getattr(row, letter(dtype)), args)
    return wrap(text, dtype) if row.wraps else text


def bare(text: str) -> str:
    """text without parentheses around the whole."""
    if not text.startswith("(") or not text.endswith(")"):
        return text
    depth = 0
    for position, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0 and position < len(text) - 1:
            return text
    return text[1:-1]


def may_be_nan(tree: Scalar) -> bool:
    """Whether a float tree may give NaN, as far as its shape tells."""
    if isinstance(tree, Const):
        return isinstance(tree.value, float) and math.isnan(tree.value)
    if not isinstance(tree, Call):
        return tree.dtype.is_float
    if tree.function == "cast":
        return tree.args[0].dtype.is_float and may_be_nan(tree.args[0])
    if tree.function in _KEEPS_NUMBERS:
        return any(may_be_nan(a) for a in tree.args)
    return tree.function != "select" or any(may_be_nan(a) for a in tree.args[1:])


def _simpler(tree: Scalar) -> Scalar:
    """Squares and cubes as products, which are exact where exp2(y * log2(x)) is not."""
    if isinstance(tree, Call) and tree.function == "pow":
        base, exponent = tree.args
        if isinstance(exponent, Const) and exponent.value in (1.0, 2.0, 3.0):
            return functools.reduce(
                lambda a, b: Call(tree.dtype, "mul", (a, b)), [base] * int(exponent.value)
            )
    return tree


class Block(NamedTuple):
    """Statements, and the expressions that stand for the trees after them."""

    statements: tuple[str, ...]
    values: tuple[str, ...]


@dataclass
class _Node:
    tree: Scalar
    args: list[int]
    interval: Interval
    uses: int = 0
    text: str = ""

    @property
    def pair(self) -> bool:
        return needs_pair(self.tree.dtype, self.interval)


@dataclass
class Printer:
    """Prints trees of one scope.

    `leaf` gives the WGSL of Load, Index, Size and Acc leaves, `known` what their integers lie in beyond their
    dtype, if anything: a leaf of 64 bits that may not fit 32 is a pair.
    """

    leaf: Callable[[Scalar], str]
    known: Callable[[Scalar], Interval | None]
    _nodes: list[_Node] = field(default_factory=list)
    _by_shape: dict[object, int] = field(default_factory=dict)
    _by_id: dict[int, int] = field(default_factory=dict)
    _kept: list[Scalar] = field(default_factory=list)  # so that no id is used twice
    _statements: list[str] = field(default_factory=list)

    def block(self, trees: Sequence[Scalar], wanted: Sequence[bool]) -> Block:
        """The trees as one block; `wanted` says which values must be pairs. Raises Unprintable."""
        roots = [self._intern(tree) for tree in trees]
        for node in self._nodes:
            for arg in node.args:
                self._nodes[arg].uses += 1
        for root in roots:
            self._nodes[root].uses += 1
        values = tuple(self._value(r, pair) for r, pair in zip(roots, wanted, strict=True))
        return Block(tuple(self._statements), values)

    def _value(self, number: int, pair: bool) -> str:
        dtype, node = self._nodes[number].tree.dtype, self._nodes[number]
        text = self._print(number)
        return bare(text if node.pair == pair else cast_text(text, dtype, dtype, (node.pair, pair)))

    def _intern(self, tree: Scalar) -> int:
        """The number of the node; equal subtrees get the same."""
        if id(tree) in self._by_id:
            return self._by_id[id(tree)]
        original, tree = tree, _simpler(tree)
        self._kept.append(tree)
        args = [self._intern(a) for a in tree.args] if isinstance(tree, Call) else []
        folded = self._folded(tree, args)
        shape = (
            (folded.function, folded.dtype, tuple(args))
            if isinstance(folded, Call)
            else (type(folded), folded)
        )
        number = self._by_shape.setdefault(shape, len(self._nodes))
        if number == len(self._nodes):
            args = args if isinstance(folded, Call) else []
            inside = interval(folded, [self._nodes[a].interval for a in args], self.known)
            self._nodes.append(_Node(folded, args, inside))
        self._by_id[id(original)] = number
        return number

    def _folded(self, tree: Scalar, args: Sequence[int]) -> Scalar:
        # a constant expression that overflows is an error in WGSL
        constants = [self._nodes[a].tree for a in args]
        if not isinstance(tree, Call) or not all(isinstance(c, Const) for c in constants):
            return tree
        value = evaluate(Call(tree.dtype, tree.function, tuple(constants)), [])
        return Const(tree.dtype, value.item())

    def _print(self, number: int) -> str:
        node = self._nodes[number]
        if not node.text:
            value_type(node.tree.dtype)
            text = self._text(node)
            plain = re.fullmatch(r"-?[\w.]+", text) is not None
            if not plain and (len(text) > LINE or (node.uses > 1 and not isinstance(node.tree, Const))):
                name = f"v{len(self._statements)}"
                self._statements.append(f"let {name} = {bare(text)};")
                text = name
            node.text = text
        return node.text

    def _text(self, node: _Node) -> str:
        tree = node.tree
        if isinstance(tree, Const):
            text = literal(tree.value, tree.dtype, node.pair)
            return f"({text})" if text.startswith("-") else text
        if not isinstance(tree, Call):
            return self.leaf(tree)
        nodes = [self._nodes[a] for a in node.args]
        args = [n.tree for n in nodes]
        texts = [self._print(a) for a in node.args]
        if tree.function == "cast":
            return cast_text(texts[0], args[0].dtype, tree.dtype, (nodes[0].pair, node.pair))
        if tree.function == "bitcast":
            return f"bitcast<{value_type(tree.dtype)}>({bare(texts[0])})"
        if node.pair or any(n.pair for n in nodes):
            return self._of_pairs(node, nodes, texts)
        dtype = args[-1].dtype
        if tree.function in _NUMBER_BOUND and dtype.is_float:
            nan = [may_be_nan(a) for a in args]
            if not all(nan):
                form = _NUMBER_BOUND[tree.function][not any(nan)]
                return _fill(form, texts if nan[0] or not any(nan) else texts[::-1])
        return apply(tree.function, dtype, texts)

    @staticmethod
    def _of_pairs(node: _Node, args: Sequence[_Node], texts: Sequence[str]) -> str:
        """A call that takes or gives pairs: all operands become such, and the result what it fits."""
        dtype = args[-1].tree.dtype
        operands = [
            text if a.tree.dtype is DType.BOOL else cast_text(text, dtype, dtype, (a.pair, True))
            for a, text in zip(args, texts, strict=True)
        ]
        assert isinstance(node.tree, Call)
        text = apply(node.tree.function, dtype, operands, pair=True)
        single = node.tree.dtype is DType.BOOL or node.pair
        return text if single else cast_text(text, dtype, dtype, (True, False))
