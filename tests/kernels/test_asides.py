"""Rows with further values beside their result, on a GPU, compared with the reference executor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from pyruntime.ir.dims import Dim, product, symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Aside, Reduction, Row
from pyruntime.ir.scalar import Acc, Load, call
from pyruntime.ir.views import Tensor, View
from tests.kernels import webgpu_harness
from tests.kernels.case import Case, Maker, row_major

F32 = DType.F32


def _range(
    rows: Sequence[Dim], length: Dim, *, elementwise: bool = False, order: Sequence[int] = (), **symbols: int
) -> Case:
    """The largest of each row, or all of it less that; then the least plus a number of its own, its range."""
    maker, outer = Maker(symbols, seed=len(rows)), len(rows)
    sizes = (*rows, length)
    x = maker.permuted(sizes, order or range(outer + 1))
    own = View(maker.tensor(product(rows)), 0, (*row_major(rows), 0))
    count, result = product(rows), product(sizes if elementwise else rows)
    tensor = Tensor("out", F32, result + count * 2)
    each = (*row_major(rows), 0)
    least = call("add", Acc(F32, 1), Load(F32, 1))
    bodies = (least, call("sub", Acc(F32, 0), Acc(F32, 1)))
    name = f"{'x'.join(map(str, rows))} of {length}{', each' if elementwise else ''} {order or ''}"
    kernel = Row(
        name=name,
        inputs=(x, own),
        output=View(tensor, 0, row_major(sizes) if elementwise else each),
        sizes=sizes,
        reduced=1,
        reductions=(Reduction("max", Load(F32, 0)), Reduction("min", Load(F32, 0))),
        body=call("sub", Load(F32, 0), Acc(F32, 0)) if elementwise else Acc(F32, 0),
        elementwise=elementwise,
        asides=tuple(Aside(View(tensor, result + count * i, each), b) for i, b in enumerate(bodies)),
    )
    return Case(name, kernel, maker.inputs, symbols)


def cases() -> Iterator[Case]:
    """Of all shapes that workgroups have."""
    for elementwise in (False, True):
        for rows, length in (((5,), 7), ((3, 4), 200), ((2,), 3000), ((), 700), ((70,), 33)):
            yield _range(rows, length, elementwise=elementwise)
        yield _range((80,), 40, elementwise=elementwise, order=(1, 0))  # interleaved
        yield _range((symbol("n"),), symbol("m"), elementwise=elementwise, n=6, m=90)


@pytest.mark.webgpu
@pytest.mark.parametrize("case", list(cases()), ids=lambda c: c.name)
def test_asides(case: Case) -> None:
    webgpu_harness.check([case.call], case.inputs, case.symbols)
