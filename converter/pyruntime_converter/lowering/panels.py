"""Rows of tables that are stored as a product's weight, in panels of its columns."""

from __future__ import annotations

from functools import partial, reduce

from pyruntime_converter.lowering.lazy import Lazy, combine
from pyruntime_converter.lowering.rules.matmul import PANELS

from pyruntime.ir.dims import ceildiv
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Shape
from pyruntime.ir.scalar import Const, Load, Scalar, call, cast
from pyruntime.ir.views import Guard, Indirect, Tensor, View

QUAD = 4  # of k, that lie together in `pack_quads`
WORD = 32


def places(indices: View, shape: Shape, rows: int, panel: int, lane: tuple[int, int] = (1, 1)) -> Lazy:
    """Where rows begin in panels, at int32 indices; -1 where there is no such row.

    Args:
        indices: a view of integers over `shape`, of which negative ones count from the end.
        shape: of the result.
        rows: of the table: columns of the matrix in panels.
        panel: elements of one.
        lane: what a column of it begins with: its number, times the first, divided by the second.
    """

    def build(trees: list[Scalar]) -> Scalar:
        row = _row(trees[0], rows)
        begin = call("mul", call("div", row, _int(PANELS)), _int(panel))
        within = call("div", call("mul", call("rem", row, _int(PANELS)), _int(lane[0])), _int(lane[1]))
        inside = call("and", call("ge", row, _int(0)), call("lt", row, _int(rows)))
        return call("select", inside, call("add", begin, within), _int(-1))

    result = combine([Lazy.of(indices, shape)], shape, build)
    assert result is not None
    return result


def rows_of_panels(tensor: Tensor, at: View, shape: Shape) -> Lazy:
    """Rows of a matrix in panels (`pack_panels`), from `at` on, a view of places over shape[:-1]."""
    read = View(tensor, 0, (*(0 for _ in shape[:-1]), PANELS), indirect=(_moved(1, tensor),))
    return Lazy(shape, Load(tensor.dtype, 0), (read, _along(at, 1)))


def rows_of_quads(tensor: Tensor, at: View, shape: Shape) -> Lazy:
    """As `rows_of_panels` for `pack_quads`; over (*shape[:-1], fours of k, 4), zeros behind the end."""
    fours = ceildiv(shape[-1], QUAD)
    strides = (*(0 for _ in shape[:-1]), PANELS * QUAD, 1)
    read = View(tensor, 0, strides, indirect=(_moved(1, tensor),))
    return Lazy((*shape[:-1], fours, QUAD), Load(tensor.dtype, 0), (read, _along(at, 2)))


def words_of_levels(
    tensor: Tensor, at: View, indices: View, rows: int, shape: Shape, bits: int, k: int
) -> Lazy:
    """As `rows_of_panels` for `pack_levels`: words of `shape` with the k levels of a row, then zeros.

    A word in panels has levels of several columns, one of a row those of one, gathered from as many words as
    it has levels. `indices` are those that `at` was made of.
    """
    each, step = WORD // bits, bits * PANELS // WORD
    column = call("bit_and", _row(Load(indices.tensor.dtype, each + 1), rows), _int(PANELS - 1))
    shift = cast(call("bit_and", call("mul", column, _int(bits)), _int(WORD - 1)), DType.U32)
    outer, axis = (0 for _ in shape[:-1]), len(shape) - 1
    strides = (*outer, each * step)
    reads, levels = [], []
    for number in range(each):
        guard = Guard(axis, 0, ceildiv(k - number, each))
        read = View(tensor, number * step, strides, (guard,), (_moved(each, tensor),))
        level = call("bit_and", call("shift_right", Load(DType.U32, number), shift), _word((1 << bits) - 1))
        reads.append(read)
        levels.append(call("shift_left", level, _word(number * bits)))
    tree = reduce(partial(call, "bit_or"), levels)
    return Lazy(shape, tree, (*reads, _along(at, 1), _along(indices, 1)))


def _row(index: Scalar, rows: int) -> Scalar:
    """The row that an index means."""
    index = cast(index, DType.I32)
    return call("select", call("lt", index, _int(0)), call("add", index, _int(rows)), index)


def _moved(operand: int, tensor: Tensor) -> Indirect:
    return Indirect(operand, 1, tensor.elements, wrap=False)


def _along(view: View, axes: int) -> View:
    """The same for all points of further axes."""
    return View(view.tensor, view.offset, (*view.strides, *(0 for _ in range(axes))))


def _int(value: int) -> Const:
    return Const(DType.I32, value)


def _word(value: int) -> Const:
    return Const(DType.U32, value)
