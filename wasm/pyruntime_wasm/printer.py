"""Prints scalar trees as C over include/simd.h (vector mode) and include/scalar.h (scalar mode).

Both headers implement the functions of `pyruntime.ir.scalar.FUNCTIONS` under one rule, `<class>_<function>`,
so that printing needs a table of classes per dtype and the set of functions that a class lacks, no more.

    printer = Printer(VECTOR, leaf)      # leaf(node) -> C expression for a Load, Acc, Index or Size
    result = printer.value(tree)         # a C expression without side effects: a name or a literal
    lines = printer.statements           # the statements that must stand before it, in order

Every node that is not a literal becomes one temporary, `t0`, `t1`, ...; equal nodes share one, also across
several `value` calls of one printer. In vector mode all leaves and results are v128 values of four points;
`vectorisable(tree)` says whether a tree has such a form.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pyruntime.ir.dtypes import PLAIN, DType
from pyruntime.ir.scalar import FUNCTIONS, Call, Const, Load, Scalar, walk
from pyruntime.ops.quantization import limits
from pyruntime.ops.trees import sigmoid


@dataclass(frozen=True)
class Class:
    """How one dtype is held and computed in one mode.

    Attributes:
        name: the prefix of its functions.
        type: the C type of a value.
        memory: the prefix of its memory functions (vector mode).
        stored: the C type of an element in memory.
        wrap: the function that brings an integer back to its dtype's range; empty where lanes are as wide.
    """

    name: str
    type: str
    memory: str
    stored: str
    wrap: str = ""


@dataclass(frozen=True)
class Mode:
    """One way of printing: the class of each dtype, and what has no form in it."""

    name: str
    classes: Mapping[DType, Class]
    lacking: frozenset[tuple[str, str]] = frozenset()  # (class, function)

    def __repr__(self) -> str:
        return self.name

    def has(self, dtype: DType) -> bool:
        """Whether values of dtype can be held."""
        return dtype in self.classes


_STORED = {
    DType.BOOL: "uint8_t",
    DType.F16: "uint16_t",
    DType.F32: "float",
    DType.F64: "double",
    **{d: f"{d.value}_t" for d in PLAIN if d.is_integer},
}
_SCALAR_NAME = {
    DType.BOOL: "b32",
    DType.F16: "f32",
    DType.F32: "f32",
    DType.F64: "f64",
    **{d: f"{'u' if d.is_unsigned else 'i'}{d.bits}" for d in PLAIN if d.is_integer},
}
_NARROW = ((DType.I8, "i32x4"), (DType.I16, "i32x4"), (DType.U8, "u32x4"), (DType.U16, "u32x4"))

SCALAR = Mode("scalar", {d: Class(n, n, "", _STORED[d]) for d, n in _SCALAR_NAME.items()})
VECTOR = Mode(
    "vector",
    {
        DType.F32: Class("f32x4", "f32x4", "f32x4", "float"),
        DType.F16: Class("f32x4", "f32x4", "f16x4", "uint16_t"),
        DType.I32: Class("i32x4", "i32x4", "i32x4", "int32_t"),
        DType.U32: Class("u32x4", "u32x4", "u32x4", "uint32_t"),
        DType.BOOL: Class("b32x4", "b32x4", "b8x4", "uint8_t"),
        **{
            d: Class(n, n, f"{_SCALAR_NAME[d]}x4", _STORED[d], f"{n}_wrap_{_SCALAR_NAME[d]}")
            for d, n in _NARROW
        },
    },
    frozenset(
        {
            *((c, f) for c in ("i32x4", "u32x4") for f in ("div", "mod", "rem", "ipow")),
            *((c, f) for c in ("i32x4", "u32x4") for f in ("shift_left", "shift_right")),
            *(("f32x4", f) for f in ("mod", "rem")),
        }
    ),
)
# what makes sixteen elements of four vectors of int32, which it saturates
_SATURATING = {DType.I8: "i8x16_saturated", DType.U8: "u8x16_saturated"}
BESIDE = frozenset({"erf", "tanh"})  # functions of vmath.h that several vectors are given to at once
_WRAPPING = frozenset(
    {"add", "sub", "mul", "neg", "abs", "bit_not", "shift_left"}
)  # may leave a narrow type's range


@dataclass(frozen=True)
class Narrow:
    """How sixteen elements of 8 bits are made of vectors of four, and stored.

    Attributes:
        levels: what `Printer.saturated` prints: the tree, or what it looks up.
        function: makes a vector of sixteen of an array of four.
        table: what it looks up in, or none.
    """

    levels: Scalar
    function: str
    table: Load | None = None

    @staticmethod
    def of(tree: Scalar) -> Narrow | None:
        """The form of a tree of 8 bits; None for others."""
        table: Scalar | None = None
        levels = tree
        if isinstance(tree, Call) and tree.function == "lookup":
            table, levels = tree.args
        assert table is None or isinstance(table, Load)
        function = _SATURATING.get(levels.dtype)
        return None if function is None or tree.dtype.bits != 8 else Narrow(levels, function, table)

    def stored(self, address: str, vector: str, table: Callable[[Load], str], left: str = "") -> str:
        """The C statement that stores a vector, or as many of its elements as are left, at most 15."""
        suffix, last = ("", "") if self.table is None else ("_found", f", {table(self.table)}")
        if left:
            return f"v128_store_first{suffix}({address}, {vector}, {left}{last});"
        return f"{'v128' if suffix else 'wasm_v128'}_store{suffix}({address}, {vector}{last});"


def vectorisable(tree: Scalar) -> bool:
    """Whether every node has a form in vector mode."""
    return all(
        VECTOR.has(node.dtype)
        and not (
            isinstance(node, Call)
            and node.function not in ("cast", "bitcast")
            and (VECTOR.classes[node.args[0].dtype].name, node.function) in VECTOR.lacking
            and _shift(node) is None
        )
        for node in nodes(tree)
    )


def _shift(node: Call) -> int | None:
    """By how many bits this shifts all lanes alike; None for anything else."""
    amount = node.args[-1]
    if node.function not in ("shift_left", "shift_right") or not isinstance(amount, Const):
        return None
    return int(amount.value) if 0 <= amount.value < node.dtype.bits else None


def nodes(tree: Scalar) -> list[Scalar]:
    """The distinct nodes of a tree, children first."""
    return list(walk(tree))


def literal(value: float | int | bool, dtype: DType) -> str:
    """A C literal for a value of dtype, of the type that scalar mode computes in."""
    if dtype is DType.F64 or dtype in (DType.F32, DType.F16):
        return _float_literal(float(value), "" if dtype is DType.F64 else "f")
    if dtype is DType.BOOL:
        return str(int(bool(value)))
    value = int(value)
    if dtype is DType.I64:
        return "INT64_MIN" if value == -(2**63) else f"{value}ll"
    if dtype is DType.I32 and value == -(2**31):
        return "INT32_MIN"
    return f"{value}{'ull' if dtype is DType.U64 else 'u' if dtype is DType.U32 else ''}"


def _float_literal(value: float, suffix: str) -> str:
    if math.isnan(value):
        return f'__builtin_nan{suffix}("")'
    if suffix and abs(value) < math.inf:
        value = _to_f32(value)
    if math.isinf(value):
        return f"{'-' if value < 0 else ''}__builtin_inf{suffix}()"
    return f"{value!r}{suffix}"


def _to_f32(value: float) -> float:
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


@dataclass
class Printer:
    """Prints trees of one loop body; see the module's docstring.

    Args:
        mode: SCALAR or VECTOR.
        leaf: gives the C expression, of the mode's type for the node's dtype, for a leaf that is no Const.
        table: gives the C expression of the address that a `lookup` loads from.
        prefix: what temporaries' names begin with.
        still: in how many loops, the innermost first, a leaf keeps its value. What such leaves alone decide
            is in `between`, statements that must stand before the innermost loop, or in `outside`, before
            both: compilers cannot know that stores do not change what is loaded. None: all is inside.
        copies: how many points, or vectors of them, are computed side by side, each statement for all before
            the next. If several, temporaries are arrays, and texts are those of copy h.
    """

    mode: Mode
    leaf: Callable[[Scalar], str]
    prefix: str = "t"
    table: Callable[[Load], str] | None = None
    still: Callable[[Scalar], int] | None = None
    copies: int = 1
    statements: list[str] = field(default_factory=list)
    between: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    _levels: dict[int, int] = field(default_factory=dict)  # of nodes by id, as `still` says of leaves
    _by_node: dict[int, tuple[Scalar, str]] = field(default_factory=dict)  # holds nodes, so ids stay theirs
    _by_text: dict[tuple[str, str], str] = field(default_factory=dict)

    def value(self, tree: Scalar) -> str:
        """A name or literal for the tree's value. Raises KeyError for a tree that the mode cannot hold."""
        tables = {id(n.args[0]) for n in nodes(tree) if isinstance(n, Call) and n.function == "lookup"}
        for node in nodes(tree):
            if id(node) in tables:
                assert isinstance(node, Load)
                assert self.table is not None, "a lookup where there are no tables"
                self._levels[id(node)], self._by_node[id(node)] = 2, (node, self.table(node))
            elif id(node) not in self._by_node:
                self._levels[id(node)] = self._level(node)
                self._by_node[id(node)] = (node, self._print(node))
        return self._by_node[id(tree)][1]

    def _level(self, node: Scalar) -> int:
        if self.still is None:
            return 0
        if isinstance(node, Call):
            return min((self._levels[id(a)] for a in node.args), default=2)
        return 2 if isinstance(node, Const) else self.still(node)

    def saturated(self, tree: Scalar) -> str:
        """An i32x4 expression of a tree's value for a vector that saturates it: see Narrow."""
        quantised = self._quantised(tree)
        if quantised is None and isinstance(tree, Call) and tree.function == "cast":
            (x,) = tree.args
            quantised = f"i32x4_short_from_f32x4({self.value(x)})" if x.dtype is DType.F32 else None
        return quantised or self.value(tree)

    def _quantised(self, tree: Scalar) -> str | None:
        """What Quantize gives to 8 bits, as i32x4 before it is saturated; None for other trees."""
        if not isinstance(tree, Call) or tree.function != "cast" or tree.args[0].dtype is not DType.F32:
            return None
        match _levels(tree.args[0], tree.dtype):
            case None:
                return None
            case Call(_, "round", (x,)):
                return self._nearest(x, self._constant("i32x4_splat(NEAREST_DOWN)"))
            case Call(_, "add", (Call(_, "round", (x,)), Const(_, zero))) if zero == int(zero):
                return self._nearest(x, self._constant(f"i32x4_splat(NEAREST_DOWN - {int(zero)})"))
            case Call(_, "add", (Call(_, "round", (x,)), Call(_, "cast", (zero,)))) if (
                zero.dtype is DType.I32
            ):
                down = f"i32x4_sub(i32x4_splat(NEAREST_DOWN), {self.value(zero)})"
                return self._nearest(x, self._constant(down) if self._levels[id(zero)] == 2 else down)
            case _:
                return f"i32x4_bounded_from_f32x4({self.value(tree.args[0])})"

    def _nearest(self, x: Scalar, down: str) -> str:
        up = self._constant("f32x4_splat(NEAREST_UP)")
        return f"i32x4_nearest_from_f32x4({self.value(x)}, {up}, {down})"

    def _constant(self, expression: str) -> str:
        """A vector that is the same in all runs of the loop: in a register, if anything may be outside."""
        return expression if self.still is None else self._bind("", expression)

    def bind(self, type_: str, expression: str) -> str:
        """A temporary that holds the expression, shared with equal ones."""
        return self._bind(type_, expression)

    def _bind(self, type_: str, expression: str, level: int = 0) -> str:
        """As `bind`; with no type it is a constant to keep in a register."""
        key = (type_, expression)
        if key not in self._by_text:
            self._by_text[key] = name = f"{self.prefix}{len(self._by_text)}"
            line = f"const {type_} {name} = {expression};" if type_ else f"KEPT({name}, {expression});"
            if level == 2 or not type_:
                self.outside.append(line)
            elif self.copies == 1:
                self._inside(level).append(line)
            else:
                self._by_text[key] = f"{name}[h]"
                self._inside(level).extend(self._array(type_, name, expression))
        return self._by_text[key]

    def _inside(self, level: int) -> list[str]:
        return self.between if level else self.statements

    def _array(self, type_: str, name: str, expression: str) -> list[str]:
        """Statements for all copies of a temporary."""
        each = f"UNROLLED for (int32_t h = 0; h < {self.copies}; h++)"
        return [f"{type_} {name}[{self.copies}];", f"{each} {name}[h] = {expression};"]

    def _together(self, function: str, argument: str, level: int) -> str:
        """All copies of a function of BESIDE, by one call."""
        key = (function, argument)
        if key not in self._by_text:
            name = f"{self.prefix}{len(self._by_text)}"
            self._by_text[key] = f"{name}[h]"
            call = f"f32x4_{function}_each({name}, {self.copies});"
            self._inside(level).extend([*self._array("f32x4", name, argument), call])
        return self._by_text[key]

    def _print(self, node: Scalar) -> str:
        class_ = self.mode.classes[node.dtype]
        if isinstance(node, Const):
            text = literal(node.value, node.dtype)
            return f"{class_.name}_splat({text})" if self.mode is VECTOR else text
        level = self._levels[id(node)]
        if not isinstance(node, Call):
            return self._bind(class_.type, self.leaf(node), level)
        args = [self._by_node[id(a)][1] for a in node.args]
        if (gated := self._gated(node)) is not None:
            if self.copies > 1 and level < 2:
                return self._together("silu", gated, level)
            return self._bind(class_.type, f"f32x4_silu({gated})", level)
        if self.mode is VECTOR and (levels := self._quantised(node)) is not None:
            low, high = limits(node.dtype)
            text = f"i32x4_min(i32x4_max({levels}, i32x4_splat({low})), i32x4_splat({high}))"
        elif node.function == "lookup":
            element = f"{args[0]}[(uint8_t){args[1]}]"
            text = f"{class_.memory}_lookup({args[0]}, {args[1]})" if self.mode is VECTOR else element
        elif node.function == "cast":
            text = convert(self.mode, args[0], node.args[0].dtype, node.dtype)
        elif node.function == "bitcast":
            source = self.mode.classes[node.args[0].dtype]
            text = args[0] if self.mode is VECTOR else f"{class_.name}_bitcast_{source.name}({args[0]})"
        else:
            assert node.function in FUNCTIONS, node.function
            if self.mode is VECTOR and (bits := _shift(node)) is not None:
                args[1] = str(bits)
            operands = self.mode.classes[node.args[-1].dtype]
            if node.function in BESIDE and operands.name == "f32x4" and self.copies > 1 and level < 2:
                return self._together(node.function, args[0], level)
            text = f"{operands.name}_{node.function}({', '.join(args)})"
            if class_.wrap and node.function in _WRAPPING:
                text = f"{class_.wrap}({text})"
        return self._bind(class_.type, text, level)

    def _gated(self, node: Call) -> str | None:
        """What x * sigmoid(x) is of, for which vectors have one shorter function."""
        if self.mode is not VECTOR or node.dtype is not DType.F32 or node.function != "mul":
            return None
        for x, gate in (node.args, node.args[::-1]):
            if not isinstance(gate, Call) or gate.function != "div" or not isinstance(gate.args[0], Call):
                continue
            # equal nodes share one temporary; what is printed for a select of another kind stays unused
            if gate.args[0].function == "select" and self.value(sigmoid(x)) == self._by_node[id(gate)][1]:
                return self._by_node[id(x)][1]
        return None


def _levels(clipped: Scalar, dtype: DType) -> Scalar | None:
    """What Quantize rounds, moves and clips to the limits of `dtype`; None for other trees."""
    match clipped:
        case Call(_, "min", (Call(_, "max", (levels, Const(_, low))), Const(_, high))):
            rounded = levels.args[0] if isinstance(levels, Call) and levels.function == "add" else levels
            found = isinstance(rounded, Call) and rounded.function == "round"
            return levels if found and (low, high) == limits(dtype) else None
    return None


def convert(mode: Mode, text: str, source: DType, target: DType) -> str:
    """A C expression for text, a value of dtype source, converted to target as `ir.scalar.cast` says."""
    a, b = mode.classes[source], mode.classes[target]
    if source is target:
        return text
    if target is DType.F16:
        return f"{b.name}_round_f16({_widen(mode, text, a, b)})"
    if mode is VECTOR:
        return _vector_integer(text, source, target) if target.is_integer else _widen(mode, text, a, b)
    if target is DType.BOOL:
        return f"{text} != 0"
    if source.is_float and target.is_integer:
        return f"{b.name}_from_f64({text})"
    return f"({b.type}){text}"


def _widen(mode: Mode, text: str, a: Class, b: Class) -> str:
    """Between classes whose values need no narrowing."""
    if a.name == b.name:
        return text
    return f"{b.name}_from_{a.name}({text})" if mode is VECTOR else f"({b.type}){text}"


def _vector_integer(text: str, source: DType, target: DType) -> str:
    a, b = VECTOR.classes[source], VECTOR.classes[target]
    if source.is_float and b.wrap:
        # saturate at the narrow type's own limits
        low = 0 if target.is_unsigned else -(2 ** (target.bits - 1))
        high = 2 ** (target.bits - (0 if target.is_unsigned else 1)) - 1
        text = f"{b.name}_from_{a.name}({text})"
        return f"{b.name}_min({b.name}_max({text}, {b.name}_splat({low})), {b.name}_splat({high}))"
    if source.is_integer:
        fits = source.bits < target.bits and (source.is_unsigned or not target.is_unsigned)
        return f"{b.wrap}({text})" if b.wrap and not fits else text
    return f"{b.name}_from_{a.name}({text})"
