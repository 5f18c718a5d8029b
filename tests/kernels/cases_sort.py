"""Sorts that every target must compute: both directions, ties, NaN, tuples, dtypes, layouts, symbols."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pyruntime.ir.dims import Dim, symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Sort
from tests.kernels.case import Case, Maker

F16, F32, I32 = DType.F16, DType.F32, DType.I32


def _case(
    name: str,
    sizes: tuple[Dim, Dim, Dim],
    most: Dim,
    *,
    dtype: DType = F32,
    descending: bool = False,
    odd: bool = False,
    order: Sequence[int] = (0, 1, 2),
    maker: Maker | None = None,
) -> Case:
    maker = maker or Maker()
    x = maker.permuted(sizes, order, dtype)
    if odd:
        maker.inputs[x.tensor][::3] = np.nan
        maker.inputs[x.tensor][1::5] = -np.inf
    rows, count, width = sizes
    output = maker.output((rows, count * 2), I32)
    made = Sort(
        name=name,
        output=output,
        rows=rows,
        count=count,
        width=width,
        most=most,
        descending=descending,
        x=x,
    )
    return Case(name, made, maker.inputs, maker.symbols)


def cases() -> Iterator[Case]:
    """All of them."""
    for descending in (False, True):
        for sizes, most in (
            ((1, 7, 1), 7),
            ((3, 67, 1), 9),
            ((2, 301, 1), 301),
            ((1, 1031, 1), 1000),
            ((1, 1, 1), 1),
        ):
            yield _case(f"sorted {sizes} {descending}", sizes, most, descending=descending)
        yield _case(f"ties {descending}", (2, 40, 1), 40, dtype=I32, descending=descending)
        yield _case(f"tuples {descending}", (2, 40, 3), 40, dtype=DType.BOOL, descending=descending)
        yield _case(f"odd {descending}", (2, 31, 1), 31, descending=descending, odd=True)
        for dtype in (F32, I32, DType.U8, DType.BOOL):
            yield _case(f"long {dtype!r} {descending}", (2, 700, 1), 50, dtype=dtype, descending=descending)
        yield _case(f"long odd {descending}", (2, 700, 1), 250, descending=descending, odd=True)
        yield _case(f"long columns {descending}", (3, 300, 1), 7, descending=descending, order=(1, 0, 2))
    yield _case("long f16", (1, 700, 1), 700, dtype=F16)
    for dtype in (F16, DType.I8, DType.U8, DType.U32, DType.BOOL):
        yield _case(f"sorted {dtype!r}", (3, 11, 1), 5, dtype=dtype)
    for sizes in ((0, 3, 1), (2, 0, 1), (2, 3, 0)):
        yield _case(f"sorted {sizes}", sizes, min(sizes[:2]))
    yield _case("sorted columns", (3, 11, 1), 4, order=(1, 0, 2))
    maker = Maker({"batch": 3, "count": 13})
    yield _case("sorted symbolic", (symbol("batch"), symbol("count"), 1), symbol("batch"), maker=maker)
