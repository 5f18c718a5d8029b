"""Numbers that every target must write: any bits, powers of two, short formats, layouts, symbols."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dims import Dim, symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.numerals import Digits
from pyruntime.ir.views import View
from pyruntime.ops.digits import PRECISIONS, WIDTHS
from tests.kernels.case import Case, Maker

F32, F64 = DType.F32, DType.F64


def _case(name: str, values: NDArray[Any], of: DType, *, stride: int = 1, dynamic: bool = False) -> Case:
    maker = Maker({"rows": len(values)} if dynamic else {})
    rows: Dim = symbol("rows") if dynamic else len(values)
    dtype = DType(values.dtype.name)
    tensor = maker.tensor(rows * stride, dtype)
    maker.inputs[tensor] = values.repeat(stride)
    made = Digits(
        name=name,
        output=maker.output((rows, WIDTHS[dtype]), DType.U8),
        rows=rows,
        width=WIDTHS[dtype],
        precision=PRECISIONS[of][0],
        least=PRECISIONS[of][1],
        x=View(tensor, 0, (stride,)),
    )
    return Case(name, made, maker.inputs, maker.symbols, wasm_only="numbers are written on the CPU")


def patterns(dtype: DType, count: int) -> NDArray[Any]:
    """Random bits, which have all exponents, decimals of few digits, powers of two with their neighbours."""
    rng, real = np.random.default_rng(dtype.bits), np.dtype(dtype.value)
    bits = np.dtype(f"uint{dtype.bits}")
    random = rng.integers(0, 2**dtype.bits, count, bits).view(real)
    with np.errstate(over="ignore", under="ignore"):
        few = rng.integers((1, -50), (9999, 38), (count // 2, 2))
        decimals = np.array([float(f"{n}e{e}") for n, e in few]).astype(real)
        powers = (2.0 ** rng.integers(-149 if dtype is F32 else -1074, 128, count // 2)).astype(real)
    beside = [powers, np.nextafter(powers, real.type(0)), np.nextafter(powers, real.type(np.inf))]
    ends = np.array([0.0, -0.0, np.nan, np.inf, -np.inf], real)
    return np.concatenate([random, decimals, *beside, ends])


def cases() -> Iterator[Case]:
    """All of them."""
    for dtype in (F32, F64):
        yield _case(f"{dtype!r}", patterns(dtype, 90), dtype)
        yield _case(f"{dtype!r}, none", np.zeros(0, dtype.value), dtype)
        yield _case(f"{dtype!r}, strided", patterns(dtype, 6), dtype, stride=3)
        yield _case(f"{dtype!r}, symbolic", patterns(dtype, 7), dtype, dynamic=True)
    for of in PRECISIONS:
        if of not in (F32, F64):
            yield _case(f"{of!r}", all_of(of)[:: 1 if of.width < 16 else 521], of)


def all_of(of: DType) -> NDArray[np.float32]:
    """All numbers of a type of at most 16 bits."""
    codes = np.arange(2**of.width, dtype=np.uint16 if of.width > 8 else np.uint8)
    with np.errstate(invalid="ignore"):
        return codes.view(np.float16 if of is DType.F16 else getattr(ml_dtypes, of.value)).astype(np.float32)
