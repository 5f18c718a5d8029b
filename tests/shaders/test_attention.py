"""How many queries of attention a workgroup has: few where a GPU would be idle, of narrow values alone."""

from __future__ import annotations

import pytest
from pyruntime_shaders.kernels import attention

from pyruntime.ir.dims import Dim, symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Attention
from pyruntime.ir.scalar import Acc
from pyruntime.ir.views import Tensor, View


def call(heads: int, m: Dim, width: int) -> Attention:
    q, k, v, y = (
        View(Tensor(name, DType.F32, heads * m * width), 0, (m * width, width, 1)) for name in "qkvy"
    )
    sizes = {"batch": (heads,), "m": m, "n": m, "width": width, "value_width": width}
    return Attention(name="x", q=q, k=k, v=v, output=y, score=Acc(DType.F32), **sizes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("heads", "m", "width", "queries"),
    [(12, 128, 32, 16), (12, 128, 64, 16), (12, 128, 80, 32), (12, 512, 64, 32), (12, symbol("m"), 32, 16)],
)
def test_queries_of_a_workgroup(heads: int, m: Dim, width: int, queries: int) -> None:
    kernel = attention.prepare(call(heads, m, width))[-1]
    block = dict(kernel.values)["block"]
    assert isinstance(block, attention.Block)
    assert block.rows == queries
