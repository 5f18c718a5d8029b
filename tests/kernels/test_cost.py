"""What calls cost: counted by hand for a few, within what there is for every case of every target."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pyruntime.ir import kernel, numerals
from pyruntime.ir.cost import operations, traffic
from pyruntime.ir.dims import Dim, symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Attention, Conv, KernelCall, Map, MatMul, Reduction, Row, Window
from pyruntime.ir.scalar import Acc, Load, Scalar, call
from pyruntime.ir.symbols import evaluate
from pyruntime.ir.views import Indirect, Tensor, View
from tests.kernels.case import Case, row_major

F32 = DType.F32
SUM = Acc(F32)


MODULES = [m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if m.name.startswith("cases_")]


def cases(module: str) -> Iterator[Case]:
    yield from importlib.import_module(f"tests.kernels.{module}").cases()


def view(*shape: Dim, of: Dim | None = None, dtype: DType = F32) -> View:
    """A contiguous view of a tensor of its own, which has `of` elements."""
    elements: Dim = 1
    for size in shape:
        elements = elements * size
    return View(Tensor("t", dtype, elements if of is None else of), 0, row_major(shape))


def load(operand: int = 0, dtype: DType = F32) -> Scalar:
    return Load(dtype, operand)


def test_a_product_reads_both_sides_and_its_operands_once() -> None:
    m, bias = symbol("m"), View(Tensor("bias", F32, 5), 0, (0, 1))
    body = call("add", SUM, load())
    product = MatMul(
        name="p", m=m, n=5, k=7, a=view(m, 7), b=view(7, 5), inputs=(bias,), output=view(m, 5), body=body
    )
    assert operations(product) == m * 70
    assert traffic(product) == (m * 7 + 35 + 5 + m * 5) * 4
    panels = replace(product, b=View(Tensor("w", F32, 56), 0, (0, 0)), panels=8)
    assert traffic(panels) == (m * 7 + 56 + 5 + m * 5) * 4


def test_equal_views_count_once_and_others_of_a_tensor_together() -> None:
    x = view(6, 4)
    half = replace(x, strides=(8, 1), offset=4)
    square = Map(name="m", sizes=(6, 4), inputs=(x, x), output=view(6, 4), body=call("mul", load(0), load(1)))
    assert traffic(square) == (24 + 24) * 4
    assert traffic(replace(square, inputs=(x, half))) == (24 + 24) * 4, "the tensor has no more than 24"
    twice = replace(square, inputs=(x, replace(view(6, 4), strides=(0, 1))))
    assert traffic(twice) == (24 + 4 + 24) * 4, "a row is read once, whatever it is added to"
    assert operations(twice) == 0


def test_of_a_large_table_only_the_rows_that_are_looked_up() -> None:
    ids = replace(view(3, dtype=DType.I32), strides=(1, 0))
    table = View(Tensor("table", DType.F16, 1000 * 4), 0, (0, 1), indirect=(Indirect(0, 4, 1000),))
    lookup = Map(
        name="m", sizes=(3, 4), inputs=(ids, table), output=view(3, 4, dtype=DType.F16),
        body=load(1, DType.F16),
    )  # fmt: skip
    assert traffic(lookup) == 3 * 4 + 12 * 2 + 12 * 2


def test_a_reduction_writes_one_element_a_row() -> None:
    out = View(Tensor("y", F32, 6), 0, (1, 0))
    reduced = Row(
        name="r", sizes=(6, 9), reduced=1, reductions=(Reduction("sum", load()),), body=SUM,
        inputs=(view(6, 9),), output=out,
    )  # fmt: skip
    assert traffic(reduced) == (54 + 6) * 4


@pytest.mark.parametrize(("kernel_size", "read"), [(3, 8 * 8 * 2), (1, 4 * 4 * 2)])
def test_a_strided_convolution_reads_what_its_windows_touch(kernel_size: int, read: int) -> None:
    pads = (kernel_size // 2,) * 2
    weights = kernel_size**2 * 2 * 8
    made = Conv(
        name="c", n=1, in_size=(8, 8), out_size=(4, 4), in_channels=2, out_channels=3,
        window=Window((kernel_size, kernel_size), (2, 2), (1, 1), pads), x=view(1, 8, 8, 2),
        weight=View(Tensor("w", F32, weights), 0, (0, 0, 0, 0)), output=view(1, 4, 4, 3), body=SUM,
    )  # fmt: skip
    assert operations(made) == 16 * 3 * 2 * 2 * kernel_size**2
    assert traffic(made) == (read + weights + 48) * 4


def test_attention_reads_its_three_sides() -> None:
    made = Attention(
        name="a", batch=(2,), m=5, n=7, width=3, value_width=4, q=view(2, 5, 3), k=view(2, 7, 3),
        v=view(2, 7, 4), output=view(2, 5, 4), score=SUM,
    )  # fmt: skip
    assert operations(made) == 2 * 5 * 7 * 2 * (3 + 4)
    assert traffic(made) == (2 * 5 * 3 + 2 * 7 * 3 + 2 * 7 * 4 + 2 * 5 * 4) * 4


@pytest.mark.parametrize("module", MODULES)
def test_no_call_moves_more_than_its_tensors(module: str) -> None:
    for case in cases(module):
        moved = evaluate(traffic(case.call), case.symbols)
        tensors = [v.tensor for v in case.call.reads()]
        distinct = [*dict.fromkeys(tensors), case.call.output.tensor]  # one that is both counts twice
        whole = sum(evaluate(t.elements, case.symbols) * t.dtype.bytes for t in distinct)
        # rows may be looked up, or written, many times
        gathers = any(v.indirect for v in (*case.call.reads(), case.call.output))
        assert 0 <= moved <= (whole if not gathers else moved), case.name
        assert evaluate(operations(case.call), case.symbols) >= 0, case.name


def test_every_class_of_calls_has_a_rule() -> None:
    tested = {type(case.call) for module in MODULES for case in cases(module)}
    defined = [*vars(kernel).values(), *vars(numerals).values()]
    classes = {c for c in defined if isinstance(c, type) and issubclass(c, KernelCall)}
    assert tested == classes - {KernelCall, kernel.Operand}  # which is a part of a product
