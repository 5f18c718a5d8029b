"""What products and attention tell of what they store, on a GPU, compared with the reference executor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest

from pyruntime.ir.dims import Dim, align, product, symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.extremes import Extreme, Extremes
from pyruntime.ir.kernel import Attention, Conv, KernelCall, MatMul
from pyruntime.ir.scalar import Load
from pyruntime.ir.scalar import call as of
from pyruntime.ir.symbols import evaluate as value_of
from pyruntime.ir.views import Tensor, View
from tests.kernels import cases_attention, webgpu_harness
from tests.kernels.case import Case, row_major
from tests.kernels.cases_conv import Shape, same
from tests.kernels.cases_integer import conv, matmul
from tests.kernels.epilogues_integer import dequantised

SPANS = (16, 8, 4)  # tiles have 16 columns and more
HEADS = (16, 32, 8)
Kind = tuple[Literal["min", "max"], bool]
LEAST: Kind = ("min", False)
MOST: Kind = ("max", False)
MAGNITUDE: Kind = ("max", True)
SIZES = (
    *((1, 16, 4), (2, 17, 33), (3, 40, 300), (4, 127, 33), (7, 33, 70), (40, 100, 31), (130, 70, 64)),
    *((0, 20, 4), (5, 20, 0), (300, 130, 64)),
)
SHAPES = (
    same(Shape((12, 11), 3, 17, (3, 3), (2, 2))),
    Shape((5, 5), 16, 40, (1, 1), batch=2),
    same(Shape((9, 8), 20, 33, (3, 3), batch=3)),
)
ATTENTION = (
    *("1 x 7", "3 x 64", "33 x 129", "width 31", "width 80", "three batch axes", "merged (1, 40, 2, 12)"),
    *("not numbers, 2 x 9", "symbolic 4 x 130", "symbolic 70 x 70"),
)
KINDS = ((LEAST, MOST), (MAGNITUDE,), (MOST, LEAST, MAGNITUDE), (MOST,))


def result(call: KernelCall) -> tuple[Dim, ...]:
    """The space of what a call stores."""
    if isinstance(call, MatMul):
        return (*call.batch, call.m, call.n)
    if isinstance(call, Conv):
        return (call.n, *call.out_size, call.out_channels)
    assert isinstance(call, Attention)
    return call.result


def spoilt(case: Case) -> Case:
    """A product, plus a number of its own for each result, some of which are none."""
    call = case.call
    assert isinstance(call, (MatMul, Conv))
    space, number = result(call), len(call.inputs)
    count = value_of(product(space), case.symbols)
    random = np.random.default_rng(count)
    added = random.uniform(-9, 9, count).astype(np.float32)
    added[random.random(count) < 0.005] = np.nan
    added[random.random(count) < 0.01] = np.inf
    other = View(Tensor("added", DType.F32, product(space), "input"), 0, row_major(space))
    body = of("add", call.body, Load(DType.F32, number))
    made = replace(call, inputs=(*call.inputs, other), body=body)
    return replace(case, call=made, inputs={**case.inputs, other.tensor: added})


def telling(case: Case, kinds: Sequence[Kind], span: int) -> Case:
    """The same, which tells extremes behind what it stores."""
    call, tensor = case.call, case.call.output.tensor
    assert isinstance(call, (MatMul, Conv, Attention))
    *rows, columns = result(call)
    extremes = Extremes(span, ())
    runs = (*rows, extremes.runs(columns))
    behind = [tensor.elements + product(runs) * i for i in range(len(kinds) + 1)]
    whole = Tensor("out", DType.F32, align(behind.pop(), 4))
    told = tuple(
        Extreme(combine, magnitude, View(whole, offset, row_major(runs)))
        for (combine, magnitude), offset in zip(kinds, behind, strict=True)
    )
    changed = replace(call, output=replace(call.output, tensor=whole), extremes=replace(extremes, told=told))
    return replace(case, call=changed, name=f"{case.name}, {len(kinds)} by {span}")


def _products() -> Iterator[Case]:
    shared: dict[str, Any] = {"epilogue": dequantised}
    for m, n, k in SIZES:
        yield matmul(f"{m}x{n}x{k}", m, n, k, **shared)
    for value in (1, 3, 40):
        symbols = {"rows": value}
        yield matmul(f"{value} rows", symbol("rows"), 50, 70, symbols=symbols, **shared)
    for batch, m in (((3,), 6), ((2, 3), 3)):
        yield matmul(f"batch {batch}", m, 20, 12, batch=batch, **shared)
        yield matmul(f"batch {batch}, dynamic", m, 20, 12, batch=batch, constant=False, **shared)
    for shape in SHAPES:
        yield conv(shape, **shared)


def cases() -> Iterator[Case]:
    """Products of short integers of all forms, and attention, by runs of several lengths."""
    made = [*map(spoilt, _products())]
    made += [c for c in cases_attention.cases() if c.name in ATTENTION]
    for number, case in enumerate(made):
        spans = HEADS if isinstance(case.call, Attention) else SPANS
        yield telling(case, KINDS[number % len(KINDS)], spans[number % len(spans)])


@pytest.mark.webgpu
@pytest.mark.parametrize("case", list(cases()), ids=lambda c: f"{c.call.template} {c.name}")
def test_extremes(case: Case) -> None:
    webgpu_harness.check([case.call], case.inputs, case.symbols)
