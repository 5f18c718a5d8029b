"""Scatters that every target must compute: meeting points in order, dtypes, symbols, no places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pyruntime.ir.dims import Dim, product, symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Scatter
from pyruntime.ir.scalar import Acc, Load, Scalar, call, cast
from pyruntime.ir.symbols import evaluate
from pyruntime.ir.views import Indirect, View
from tests.kernels.case import Case, Maker, row_major

F16, F32, I32 = DType.F16, DType.F32, DType.I32


def _case(
    name: str,
    sizes: tuple[Dim, ...],
    ordered: int,
    function: str = "",
    *,
    rows: int = 4,
    dtype: DType = F32,
    maker: Maker | None = None,
    outside: bool = False,
) -> Case:
    """Rows of a table of free axes, updated at an index for each point of the ordered ones."""
    maker = maker or Maker()
    free = sizes[ordered:]
    at = maker.dense(sizes[:ordered], I32)
    low = -rows - 2 if outside else -rows
    count = evaluate(product(sizes[:ordered]), maker.symbols)
    maker.inputs[at.tensor] = np.random.default_rng(3).integers(low, rows + 2 * outside, count, np.int32)
    updates = maker.dense(sizes, dtype)
    whole = (rows, *free)
    table = replace(maker.dense(whole, dtype), strides=(*(0 for _ in range(ordered)), *row_major(free)))
    moved = Indirect(0, product(free), rows)
    tree: Scalar = Load(dtype, 1)
    if function:
        held = F32 if dtype is F16 else dtype
        tree = cast(call(function, cast(Acc(dtype), held), cast(tree, held)), dtype)
    made = Scatter(
        name=name,
        sizes=sizes,
        ordered=ordered,
        inputs=(replace(at, strides=(*at.strides, *(0 for _ in free))), updates),
        output=View(table.tensor, 0, table.strides, indirect=(moved,)),
        body=tree,
    )
    return Case(name, made, maker.inputs, maker.symbols)


def cases() -> Iterator[Case]:
    """All of them."""
    for sizes, ordered in (((7,), 1), ((3, 5), 1), ((3, 5), 2), ((2, 7, 67), 2), ((9, 1), 1), ((1, 3), 1)):
        yield _case(f"rows {sizes} by {ordered}", sizes, ordered)
        yield _case(f"sums of rows {sizes} by {ordered}", sizes, ordered, "add")
    for sizes in ((700,), (301, 3), (301, 17)):
        yield _case(f"many places {sizes}", sizes, 1, rows=97)
        yield _case(f"sums of many places {sizes}", sizes, 1, "add", rows=97)
    for sizes in ((0, 3), (3, 0)):
        yield _case(f"rows {sizes}", sizes, 1)
    for function in ("mul", "min", "max"):
        for dtype in (F32, I32):
            yield _case(f"{function} of {dtype!r}", (11, 3), 1, function, dtype=dtype)
    for dtype in (F16, DType.I8, DType.U8, DType.U32):
        yield _case(f"sums of {dtype!r}", (11, 3), 1, "add", dtype=dtype)
    yield _case("bools", (11, 3), 1, dtype=DType.BOOL)
    yield _case("places outside", (23, 3), 1, "add", outside=True)
    maker = Maker({"batch": 13, "width": 5})
    yield _case("symbolic", (symbol("batch"), symbol("width")), 1, "add", maker=maker)
