"""Running sums and products that every target must compute: directions, layouts, dtypes, fused trees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pyruntime.ir.dims import Dim, symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Cumulate
from pyruntime.ir.scalar import Acc, Const, Load, Scalar, call
from tests.kernels.case import Case, Maker

F16, F32, F64, I32 = DType.F16, DType.F32, DType.F64, DType.I32


def _case(
    name: str,
    sizes: tuple[Dim, ...],
    combine: Literal["sum", "prod"] = "sum",
    *,
    dtype: DType = F32,
    exclusive: bool = False,
    reverse: bool = False,
    value: Scalar | None = None,
    body: Scalar | None = None,
    maker: Maker | None = None,
) -> Case:
    maker = maker or Maker()
    body = body or Acc(dtype)
    made = Cumulate(
        name=name,
        sizes=sizes,
        combine=combine,
        exclusive=exclusive,
        reverse=reverse,
        value=value or Load(dtype, 0),
        body=body,
        inputs=(maker.dense(sizes, dtype),),
        output=maker.output(sizes, body.dtype),
    )
    return Case(name, made, maker.inputs, maker.symbols)


def cases() -> Iterator[Case]:
    """All of them."""
    for sizes in ((7,), (1,), (3, 5), (2, 3, 67), (5, 1), (0, 3), (3, 0), (131, 2)):
        yield _case(f"sums {sizes}", sizes)
    for exclusive in (False, True):
        for reverse in (False, True):
            note = f"{' exclusive' if exclusive else ''}{' reverse' if reverse else ''}"
            yield _case(f"sums{note} (3, 11)", (3, 11), exclusive=exclusive, reverse=reverse)
            yield _case(f"products{note} (3, 11)", (3, 11), "prod", exclusive=exclusive, reverse=reverse)
    for dtype in (F16, F64, I32, DType.I8, DType.U8, DType.U32):
        yield _case(f"sums of {dtype!r}", (3, 7), dtype=dtype)
    x, acc = Load(F32, 0), Acc(F32)
    square, scaled = call("mul", x, x), call("add", call("mul", acc, Const(F32, 0.5)), x)
    for exclusive in (False, True):
        yield _case(f"fused {exclusive}", (4, 9), value=square, body=scaled, exclusive=exclusive)
    maker = Maker({"batch": 3, "seq": 13})
    yield _case("symbolic", (symbol("batch"), symbol("seq")), maker=maker, reverse=True)
