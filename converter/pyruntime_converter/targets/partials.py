"""Reductions of partial results, which something else has made of the values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pyruntime.ir.dims import Dim
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Aside, Reduction, Row
from pyruntime.ir.scalar import Load, Scalar, transform, walk
from pyruntime.ir.views import View


def read_by_rows(row: Row) -> list[int]:
    """The operands that what becomes of the reductions reads."""
    trees = (row.body, *(a.body for a in row.asides))
    return sorted({n.operand for t in trees for n in walk(t) if isinstance(n, Load)})


def of_partials(row: Row, partial: Sequence[View], reduced: Sequence[Dim]) -> Row:
    """A call that reduces float32 partial results instead of the values that these are of.

    Args:
        row: the call.
        partial: for each of its reductions the partial results, over its rows and `reduced`.
        reduced: sizes of the axes along which they are reduced.
    """
    outer, used = len(row.sizes) - row.reduced, read_by_rows(row)

    def of_rows(view: View) -> View:
        return replace(view, strides=(*view.strides[:outer], *(0,) * len(reduced)))

    def leaf(node: Scalar) -> Scalar:
        return replace(node, operand=used.index(node.operand)) if isinstance(node, Load) else node

    return replace(
        row,
        inputs=(*(of_rows(row.inputs[i]) for i in used), *partial),
        output=of_rows(row.output),
        sizes=(*row.sizes[:outer], *reduced),
        reduced=len(reduced),
        reductions=tuple(
            Reduction(r.combine, Load(DType.F32, len(used) + i)) for i, r in enumerate(row.reductions)
        ),
        body=transform(row.body, leaf),
        asides=tuple(Aside(of_rows(a.output), transform(a.body, leaf)) for a in row.asides),
    )
