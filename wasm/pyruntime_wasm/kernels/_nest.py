"""Trees inside loops over an iteration space: the C that finds each operand's elements, for Map and Row.

Loops run over C variables `iA` below `nA`, for axis A. A `Site` is one place in them where trees are printed,
for one point or, in vector mode, for four along its axis `lanes`. What does not change along its innermost
loop is in its `prologue`:

    X_at      pointer of operand X (`out`, `in0`, ...) at the site's outer indices
    X_ok      whether the guards along outer axes hold, and the indirect indices are in range
    X_low     part of the innermost axis in which X is valid, X_high beyond it; empty unless X_ok
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from pyruntime.ir.dims import Dim
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import KernelCall
from pyruntime.ir.scalar import Acc, Index, Load, Scalar, Size
from pyruntime.ir.views import Indirect, View
from pyruntime_wasm.kernels._operands import Operand, Parameters, load, scaled, store, total
from pyruntime_wasm.printer import SCALAR, VECTOR, Mode, Narrow, Printer, literal, nodes, vectorisable


class Nest:
    """The signature of a kernel that loops over a call's whole iteration space.

    Args:
        call: the call; its output and inputs are bound.
        sizes: the iteration space.
        trees: all trees that the kernel prints.
    """

    def __init__(self, call: KernelCall, sizes: Sequence[Dim], trees: Iterable[Scalar]) -> None:
        leaves = [n for tree in trees for n in nodes(tree)]
        self.views: dict[str, View] = {"out": call.output}
        pending = [n.operand for n in leaves if isinstance(n, Load)]
        pending += [t.operand for t in call.output.indirect]
        while pending:
            operand = pending.pop()
            if f"in{operand}" not in self.views:
                self.views[f"in{operand}"] = call.inputs[operand]
                pending += [t.operand for t in call.inputs[operand].indirect]
        self.parameters = Parameters()
        self.operands: dict[str, Operand] = {}
        for name in sorted(self.views, key=lambda n: (n != "out", len(n), n)):
            self.operands[name] = self.parameters.view(name, self.views[name], written=name == "out")
        self.rank = len(sizes)
        for axis, size in enumerate(sizes):
            self.parameters.dim(f"n{axis}", size)
        for slot in sorted({n.slot for n in leaves if isinstance(n, Size)}):
            self.parameters.dim(f"size{slot}", call.size_values[slot])
        for name in self.operands:
            for k, guard in enumerate(self.views[name].guards):
                self.parameters.dim(f"{name}_low{k}", guard.low)
                self.parameters.dim(f"{name}_high{k}", guard.high)
            for k, term in enumerate(self.views[name].indirect):
                self.parameters.dim(f"{name}_term{k}", term.stride)
                self.parameters.dim(f"{name}_size{k}", term.size)

    def loaded(self, trees: Iterable[Scalar]) -> list[str]:
        """Names of the operands that trees load, in order."""
        found = {n.operand for tree in trees for n in nodes(tree) if isinstance(n, Load)}
        return [f"in{operand}" for operand in sorted(found)]

    def varies(self, name: str, axis: int) -> bool:
        """Whether what the operand gives can change along an axis."""
        view = self.views[name]
        return (
            self.operands[name].strides[axis] != "0"
            or any(g.axis == axis for g in view.guards)
            or any(self.varies(f"in{t.operand}", axis) for t in view.indirect)
        )

    def holds_lanes(self, trees: Sequence[Scalar], lanes: int, loop: int | None) -> bool:
        """Whether trees can be computed for four points along `lanes` at once, inside a loop along `loop`."""
        names = self.loaded(trees)
        axes = [a for a in (lanes, loop) if a is not None]
        return all(vectorisable(tree) for tree in trees) and all(
            VECTOR.has(self.views[name].tensor.dtype)
            and (lanes == loop or all(g.axis != lanes for g in self.views[name].guards))
            and not any(self.varies(f"in{t.operand}", a) for t in self.views[name].indirect for a in axes)
            for name in names
        )

    def stores_lanes(self, dtype: DType) -> bool:
        """Whether the output can be written four elements at a time."""
        view = self.views["out"]
        return VECTOR.has(dtype) and not view.guards and not view.indirect


@dataclass(frozen=True)
class Sixteen:
    """Sixteen points at once: statements and value of four of them; what stores all, the array `parts`."""

    lines: tuple[str, ...]
    value: str
    store: str


@dataclass
class Site:
    """One place in the loops where trees are printed.

    Args:
        nest: the kernel's operands.
        mode: SCALAR or VECTOR.
        loop: the axis of the innermost loop around the site; None where nothing is hoisted.
        lanes: the axis along which vector mode computes four points.
        zero: axes whose index is zero here.
        index: what stands for the innermost loop's index.
        acc: gives the C expression for an Acc leaf.
        prefix: what temporaries' names begin with.
        hoists: whether what does not vary along the innermost loop is computed before it, in `outside`.
    """

    nest: Nest
    mode: Mode
    loop: int | None
    lanes: int | None = None
    zero: frozenset[int] = frozenset()
    acc: Callable[[Acc], str] | None = None
    prefix: str = "t"
    hoists: bool = False
    printer: Printer = field(init=False)

    def __post_init__(self) -> None:
        assert (self.mode is VECTOR) == (self.lanes is not None)
        still = self._still if self.hoists else None
        self.printer = Printer(self.mode, self._leaf, self.prefix, self._table, still)

    @property
    def outside(self) -> list[str]:
        """Statements that belong before the innermost loop, behind the prologue."""
        return self.printer.outside

    def _still(self, leaf: Scalar) -> int:
        """As `Printer.still`: what does not vary along the innermost loop stands before it."""
        if isinstance(leaf, Load):
            axes = [a for a in (self.loop, self.lanes) if a is not None]
            return 0 if any(self.nest.varies(f"in{leaf.operand}", a) for a in axes) else 2
        return 2 if isinstance(leaf, Size) else 0

    @property
    def left(self) -> str:
        """How many points remain along the lanes' axis."""
        return f"n{self.lanes} - i{self.lanes}"

    def _index(self, axis: int) -> str:
        return "0" if axis in self.zero else f"i{axis}"

    def _stride(self, name: str, axis: int | None) -> str:
        return "0" if axis is None or axis in self.zero else self.nest.operands[name].strides[axis]

    # ---- prologue

    def prologue(self, trees: Iterable[Scalar], *, stored: bool = False) -> list[str]:
        """Statements that belong before the innermost loop; `stored`: the site writes the output."""
        lines: list[str] = []
        done: set[str] = set()
        for name in [*self.nest.loaded(trees), *(["out"] if stored else [])]:
            self._hoist(name, lines, done)
        return lines

    def _hoist(self, name: str, lines: list[str], done: set[str]) -> None:
        if name in done:
            return
        done.add(name)
        view, operand = self.nest.views[name], self.nest.operands[name]
        for term in view.indirect:
            self._hoist(f"in{term.operand}", lines, done)
        terms = [
            scaled(self._index(axis), stride)
            for axis, stride in enumerate(operand.strides)
            if axis != self.loop
        ]
        valid = [
            text
            for k, guard in enumerate(view.guards)
            if guard.axis != self.loop
            for text in self._inside(name, k, self._index(guard.axis))
        ]
        for k, term in enumerate(view.indirect):
            if self._hoisted(term):
                index = f"{name}_index{k}"
                lines += self._indirect(name, k, term, index)
                valid.append(self._in_range(name, k, index))
                terms.append(f"(int32_t){index} * {name}_term{k}")
        stored = SCALAR.classes[operand.dtype].stored
        const = "" if name == "out" else "const "
        lines.append(f"{const}{stored} *{name}_at = {total([name, *terms])};")
        if valid:
            lines.append(f"const int {name}_ok = {' && '.join(valid)};")
        if self._lane_guards(name):
            lines += self._bounds(name, "0" if not valid else f"{name}_ok")

    def _hoisted(self, term: Indirect) -> bool:
        axes = [a for a in (self.loop, self.lanes) if a is not None]
        return not any(self.nest.varies(f"in{term.operand}", a) for a in axes if a not in self.zero)

    def _inside(self, name: str, k: int, index: str) -> tuple[str, str]:
        return f"{index} >= {name}_low{k}", f"{index} < {name}_high{k}"

    def _in_range(self, name: str, k: int, index: str) -> str:
        return f"{index} >= 0 && {index} < {name}_size{k}"

    def _indirect(self, name: str, k: int, term: Indirect, index: str) -> list[str]:
        """Statements that load one of a view's indices into the variable `index`."""
        loaded = self._scalar_load(f"in{term.operand}")
        lines = [f"int64_t {index} = (int64_t)({loaded});"]
        if term.wrap:
            lines.append(f"if ({index} < 0) {index} += {name}_size{k};")
        return lines

    def _lane_guards(self, name: str) -> list[int]:
        """Guards along the axis that is both the innermost loop's and the lanes'."""
        if self.mode is not VECTOR or self.loop is None or self.loop != self.lanes:
            return []
        return [k for k, g in enumerate(self.nest.views[name].guards) if g.axis == self.loop]

    def _bounds(self, name: str, valid: str) -> list[str]:
        lines = [f"int32_t {name}_low = 0, {name}_high = n{self.loop};"]
        for k in self._lane_guards(name):
            lines.append(f"if ({name}_low{k} > {name}_low) {name}_low = {name}_low{k};")
            lines.append(f"if ({name}_high{k} < {name}_high) {name}_high = {name}_high{k};")
        if valid != "0":
            lines.append(f"if (!{valid}) {name}_high = {name}_low;")
        return lines

    # ---- leaves

    def _leaf(self, node: Scalar) -> str:
        match node:
            case Load():
                name = f"in{node.operand}"
                return self._vector_load(name) if self.mode is VECTOR else self._scalar_load(name)
            case Acc():
                assert self.acc is not None, "Acc outside a reduction"
                return self.acc(node)
            case Index():
                if self.mode is VECTOR:
                    kind = "ramp" if node.axis == self.lanes else "splat"
                    return f"i32x4_{kind}({self._index(node.axis)})"
                return f"({SCALAR.classes[node.dtype].type}){self._index(node.axis)}"
            case Size():
                if self.mode is VECTOR:
                    return f"i32x4_splat(size{node.slot})"
                return f"({SCALAR.classes[node.dtype].type})size{node.slot}"
            case _:
                raise AssertionError(f"{type(node).__name__} is no leaf")

    def _table(self, table: Load) -> str:
        return f"in{table.operand}_at"

    def _place(self, name: str) -> tuple[str, str]:
        """Address at this point, or at the first lane, and the condition under which it is valid."""
        view = self.nest.views[name]
        index = "0" if self.loop is None else self._index(self.loop)
        terms = [f"{name}_at", scaled(index, self._stride(name, self.loop))]
        hoisted = any(g.axis != self.loop for g in view.guards) or any(map(self._hoisted, view.indirect))
        valid = [f"{name}_ok"] if hoisted else []
        for k, guard in enumerate(view.guards):
            if guard.axis == self.loop:
                valid += self._inside(name, k, index)
        for k, term in enumerate(view.indirect):
            if not self._hoisted(term):
                loaded = self.printer.bind("int64_t", f"(int64_t)({self._scalar_load(f'in{term.operand}')})")
                if term.wrap:
                    loaded = self.printer.bind(
                        "int64_t", f"{loaded} < 0 ? {loaded} + {name}_size{k} : {loaded}"
                    )
                terms.append(f"(int32_t){loaded} * {name}_term{k}")
                valid.append(self._in_range(name, k, loaded))
        return total(terms), " && ".join(valid)

    def _scalar_load(self, name: str) -> str:
        view = self.nest.views[name]
        address, valid = self._place(name)
        element = load(view.tensor.dtype, address)
        return f"{valid} ? {element} : {literal(view.fill, view.tensor.dtype)}" if valid else element

    def present(self) -> str:
        """What the output holds at this point; 0 where the point has no place."""
        address, valid = self._place("out")
        dtype = self.nest.operands["out"].dtype
        return f"({valid or 1} ? {load(dtype, address)} : {literal(0, dtype)})"

    def _vector_load(self, name: str) -> str:
        view = self.nest.views[name]
        dtype = view.tensor.dtype
        class_ = VECTOR.classes[dtype]
        fill = f"{class_.name}_splat({literal(view.fill, dtype)})"
        stride = self._stride(name, self.lanes)
        if self._lane_guards(name):
            row = f"{name}_at, {stride}, i{self.loop}, {name}_low, {name}_high"
            return f"{class_.memory}_load_within({row}, {fill})"
        address, valid = self._place(name)
        match stride:
            case "0":
                text = f"{class_.memory}_load_splat({address})"
            case "1":
                text = f"{class_.memory}_load({address})"
            case _:
                text = f"{class_.memory}_gather({address}, {stride}, {self.left})"
        return f"{valid} ? {text} : {fill}" if valid else text

    # ---- bodies

    def value(self, tree: Scalar) -> tuple[list[str], str]:
        """Statements for a tree, and the C expression of its value; each statement is given out once."""
        text = self.printer.value(tree)
        lines, self.printer.statements = self.printer.statements, []
        return lines, text

    def sixteen(self, tree: Scalar) -> Sixteen | None:
        """How sixteen points along the innermost loop are computed and written, if the output has 8 bits."""
        narrow = Narrow.of(tree)
        along = self.mode is VECTOR and self.loop == self.lanes and self._stride("out", self.lanes) == "1"
        if not along or narrow is None:
            return None
        text = self.printer.saturated(narrow.levels)
        lines, self.printer.statements = self.printer.statements, []
        store = narrow.stored("out_at + begin", f"{narrow.function}(parts)", self._table)
        return Sixteen(tuple(lines), text, store)

    def finish(self, tree: Scalar) -> list[str]:
        """Statements that compute a tree and write it to the output."""
        lines, text = self.value(tree)
        dtype = self.nest.operands["out"].dtype
        if self.mode is VECTOR:
            memory, stride = VECTOR.classes[dtype].memory, self._stride("out", self.lanes)
            address, _ = self._place("out")
            if stride == "1":
                return [*lines, f"{memory}_store_partial({address}, {text}, {self.left});"]
            return [*lines, f"{memory}_scatter({address}, {stride}, {text}, {self.left});"]
        address, valid = self._place("out")
        lines, self.printer.statements = [*lines, *self.printer.statements], []
        statement = store(dtype, address, text)
        return [*lines, f"if ({valid}) {statement}" if valid else statement]
