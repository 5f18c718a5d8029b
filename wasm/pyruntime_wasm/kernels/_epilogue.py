"""What becomes of a structured kernel's sums: the body over Acc and operands, for rows of adjacent columns.

Structured kernels compute blocks whose rows and columns are two axes of the iteration space. The epilogue
prints the body for one point, or four along the columns, of such a block, in terms of these C variables:

    acc       the sum, a value of the mode that the body is printed in
    r, j      row and first column within the block
    columns   columns of the block
    out, inN  pointers to the block's first elements
    iN        index of the block's first point along axis N, where the body needs it
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import KernelCall
from pyruntime.ir.scalar import Acc, Call, Const, Index, Load, Scalar, Size, cost
from pyruntime.ir.views import View
from pyruntime_wasm.kernels._operands import Operand, Parameters, load, scaled, store, total
from pyruntime_wasm.printer import (
    BESIDE,
    SCALAR,
    VECTOR,
    Mode,
    Narrow,
    Printer,
    literal,
    nodes,
    vectorisable,
)

_LIGHT = 8  # operations that are worth printing for each vector of a tile
_COPIES = 2  # rows of a block that are computed side by side
_MORE_COPIES = 4  # the same where a function's constants and latency count


@dataclass
class Epilogue:
    """The body of a call, bound to the C parameters that it needs.

    Args:
        call: the kernel call; its body, inputs and output are used.
        body: the tree.
        parameters: the kernel's signature; grows by output, operands and sizes.
        rank: axes of the iteration space; the last one is along columns.
        row: the axis along rows.
        acc: dtype of the sums.
        stores: whether it writes the call's output; else `value` prints the body for other uses.
    """

    call: KernelCall
    body: Scalar
    parameters: Parameters
    rank: int
    row: int
    acc: DType
    stores: bool = True

    def __post_init__(self) -> None:
        used = [n for n in nodes(self.body) if not isinstance(n, Const)]
        views = {f"in{n.operand}": self.call.inputs[n.operand] for n in used if isinstance(n, Load)}
        written = {"out": self.call.output} if self.stores else {}
        pending = [*written.values(), *views.values()]
        while pending:
            indices = {f"in{i.operand}": self.call.inputs[i.operand] for i in pending.pop().indirect}
            pending += [v for k, v in indices.items() if k not in views]
            views |= indices
        self.outputs = [self.parameters.view(k, v, written=True) for k, v in written.items()]
        self.operands = {k: self.parameters.view(k, v) for k, v in sorted(views.items())}
        self.views: dict[str, View] = {**written, **views}
        self.mode: Mode = VECTOR if self._vector() else SCALAR
        axes = {n.axis for n in used if isinstance(n, Index)}
        axes |= {g.axis for v in self.views.values() for g in v.guards}
        self.indices = sorted(axes)
        slots = sorted({n.slot for n in used if isinstance(n, Size)})
        self.sizes = [self.parameters.dim(f"size{s}", self.call.size_values[s]) for s in slots]
        self.bounds: list[str] = []
        for name, view in self.views.items():
            for k, guard in enumerate(view.guards):
                self.bounds.append(self.parameters.dim(f"{name}_low{k}", guard.low))
                self.bounds.append(self.parameters.dim(f"{name}_high{k}", guard.high))
            for k, term in enumerate(view.indirect):
                self.bounds.append(self.parameters.dim(f"{name}_term{k}", term.stride))
                self.bounds.append(self.parameters.dim(f"{name}_size{k}", term.size))

    def _vector(self) -> bool:
        return (
            vectorisable(self.body)
            and VECTOR.has(self.acc)
            and all(
                VECTOR.has(v.tensor.dtype) and not v.guards and not v.indirect for v in self.views.values()
            )
        )

    def scalar(self) -> None:
        """Print for one point at a time, whatever the body allows."""
        self.mode = SCALAR

    @property
    def output(self) -> Operand:
        """What the body is stored to."""
        (operand,) = self.outputs
        return operand

    @property
    def vector(self) -> bool:
        """Whether the body is printed for four columns at once."""
        return self.mode is VECTOR

    @property
    def acc_type(self) -> str:
        """The C type of a sum in a block."""
        return SCALAR.classes[self.acc].type

    @property
    def acc_value(self) -> str:
        """The C type of `acc`."""
        return self.mode.classes[self.acc].type

    @property
    def acc_load(self) -> str:
        """What loads `acc` from an address in a block of sums; nothing in scalar mode."""
        if self.mode is SCALAR:
            return "*"
        return "f32x4_load" if self.acc.is_float else f"{VECTOR.classes[self.acc].memory}_load"

    @property
    def step(self) -> int:
        """Columns that one evaluation covers."""
        return 4 if self.vector else 1

    @property
    def block_signature(self) -> str:
        """C parameters of a function that handles a block: pointers, their two strides, indices, sizes."""
        parts = []
        for operand in (*self.outputs, *self.operands.values()):
            stored = SCALAR.classes[operand.dtype].stored
            parts.append(f"{'' if operand in self.outputs else 'const '}{stored} *{operand.name}")
            parts += [f"int32_t {s}" for s in self._block_strides(operand)]
        parts += [f"int32_t i{a}" for a in self.indices]
        parts += [f"int32_t {name}" for name in (*self.sizes, *self.bounds)]
        return ", ".join(parts)

    def block_arguments(self, *indices: str) -> str:
        """What to pass for `block_signature`, for a block whose first point is at these indices."""
        assert len(indices) == self.rank
        parts = []
        for operand in (*self.outputs, *self.operands.values()):
            parts += [operand.at(*indices), *self._block_strides(operand)]
        parts += [indices[a] for a in self.indices]
        return ", ".join([*parts, *self.sizes, *self.bounds])

    def _block_strides(self, operand: Operand) -> list[str]:
        return [
            s for s in dict.fromkeys((operand.strides[self.row], operand.strides[-1])) if s.isidentifier()
        ]

    def _index(self, axis: int, copy: str = "") -> str:
        if axis == self.row:
            return f"i{axis} + r{copy}"
        return f"i{axis} + j" if axis == self.rank - 1 else f"i{axis}"

    def _address(self, operand: Operand, copy: str = "") -> str:
        row, column = operand.strides[self.row], operand.strides[-1]
        return total([operand.name, scaled(f"r{copy}", row), scaled("j", column)])

    @property
    def light(self) -> bool:
        """Whether whole tiles can be finished in registers: few operations on adjacent columns."""
        return self.vector and cost(self.body) <= _LIGHT and self.output.strides[-1] == "1" and self._adjacent

    @property
    def _adjacent(self) -> bool:
        """Whether a vector may be loaded of each operand past its last column."""
        return all(o.strides[-1] in ("0", "1") for o in self.operands.values())

    def statements(self, *, whole: bool = False) -> list[str]:
        """C statements for the point, or the four points, at (r, j); `whole` promises that there are four."""
        lines, value = self.value()
        return [*lines, self._vector_store(value, whole) if self.vector else self._scalar_store(value)]

    def value(self) -> tuple[list[str], str]:
        """C statements for the point, or the four points, at (r, j), and the expression of its value."""
        leaf = self._vector_leaf if self.vector else self._scalar_leaf
        printer = Printer(self.mode, leaf, table=self._table)
        value = printer.value(self.body)
        return printer.statements, value

    @property
    def narrow(self) -> Narrow | None:
        """How sixteen adjacent columns are stored at once, if they have 8 bits."""
        if not self.stores or not self.vector or self.output.strides[-1] != "1" or not self._adjacent:
            return None
        return Narrow.of(self.body)

    @property
    def copies(self) -> int:
        """Rows that are computed side by side: as many as registers and functions ask for."""
        functions = {n.function for n in nodes(self.body) if isinstance(n, Call)}
        return _MORE_COPIES if functions & BESIDE and not self.narrow else _COPIES

    def repeated(self) -> tuple[Printer, str]:
        """What has printed the body for `copies` rows at once, in loops over rows and columns, and its value.

        Sums are acc[h], and rows r[h]. With `narrow`, the value is still to be saturated.
        """
        leaf = partial(self._vector_leaf, copy="[h]")
        printer = Printer(self.mode, leaf, table=self._table, still=self._still, copies=self.copies)
        narrow = self.narrow
        return printer, printer.saturated(narrow.levels) if narrow else printer.value(self.body)

    def _table(self, table: Load) -> str:
        return self.operands[f"in{table.operand}"].name

    def stored(self, vectors: str) -> list[str]:
        """C statements that store an array of vectors to row r[h] from j on: four with `narrow`, else one."""
        if (narrow := self.narrow) is None:
            return [self._vector_store(f"{vectors}[0]", whole=False, copy="[h]")]
        address = self._address(self.output, "[h]")
        return [
            f"const v128_t narrow = {narrow.function}({vectors});",
            f"if (j + 16 <= columns) {narrow.stored(address, 'narrow', self._table)}",
            f"else {narrow.stored(address, 'narrow', self._table, 'columns - j')}",
        ]

    def _still(self, leaf: Scalar) -> int:
        """As `Printer.still`: 2 for what all points of a block have, 1 for what those of a row have."""
        if not isinstance(leaf, Load):
            return 2 if isinstance(leaf, Size) else 0
        strides = self.operands[f"in{leaf.operand}"].strides
        return 0 if strides[-1] != "0" else 1 if strides[self.row] != "0" else 2

    def _vector_leaf(self, node: Scalar, copy: str = "") -> str:
        match node:
            case Acc():
                return f"acc{copy}"
            case Load():
                operand = self.operands[f"in{node.operand}"]
                memory, address = VECTOR.classes[operand.dtype].memory, self._address(operand, copy)
                match operand.strides[-1]:
                    case "0":
                        return f"{memory}_load_splat({address})"
                    case "1":
                        return f"{memory}_load({address})"
                    case stride:
                        return f"{memory}_gather({address}, {stride}, columns - j)"
            case Index():
                kind = "ramp" if node.axis == self.rank - 1 else "splat"
                return f"i32x4_{kind}({self._index(node.axis, copy)})"
            case Size():
                return f"i32x4_splat(size{node.slot})"
            case _:
                raise AssertionError(f"{type(node).__name__} is no leaf")

    def _vector_store(self, value: str, whole: bool, copy: str = "") -> str:
        memory, address = VECTOR.classes[self.output.dtype].memory, self._address(self.output, copy)
        stride = self.output.strides[-1]
        if stride == "1" and whole:
            return f"{memory}_store({address}, {value});"
        if stride == "1":
            return f"{memory}_store_partial({address}, {value}, columns - j);"
        return f"{memory}_scatter({address}, {stride}, {value}, columns - j);"

    def _scalar_leaf(self, node: Scalar) -> str:
        match node:
            case Acc():
                return "acc"
            case Load():
                name = f"in{node.operand}"
                address, valid = self._place(self.operands[name])
                element = load(self.operands[name].dtype, address)
                fill = literal(self.views[name].fill, self.operands[name].dtype)
                return f"{valid} ? {element} : {fill}" if valid else element
            case Index():
                return f"({SCALAR.classes[node.dtype].type})({self._index(node.axis)})"
            case Size():
                return f"({SCALAR.classes[node.dtype].type})size{node.slot}"
            case _:
                raise AssertionError(f"{type(node).__name__} is no leaf")

    def _scalar_store(self, value: str) -> str:
        address, valid = self._place(self.output)
        statement = store(self.output.dtype, address, value)
        return f"if ({valid}) {statement}" if valid else statement

    def _place(self, operand: Operand) -> tuple[str, str]:
        """The address of an operand's element at (r, j), and the condition under which it is valid."""
        name, view = operand.name, self.views[operand.name]
        terms, valid = [self._address(operand)], []
        for k, guard in enumerate(view.guards):
            index = self._index(guard.axis)
            valid += [f"{index} >= {name}_low{k}", f"{index} < {name}_high{k}"]
        for k, term in enumerate(view.indirect):
            loaded = Load(self.operands[f"in{term.operand}"].dtype, term.operand)
            index = f"(int32_t)({self._scalar_leaf(loaded)})"
            if term.wrap:
                index = f"({index} < 0 ? {index} + {name}_size{k} : {index})"
            terms.append(f"{index} * {name}_term{k}")
            valid += [f"{index} >= 0", f"{index} < {name}_size{k}"]
        return total(terms), " && ".join(valid)
