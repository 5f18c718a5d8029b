"""Blocks of attention: few queries where a GPU would be idle, and what every device has memory for."""

from __future__ import annotations

import re

import pytest
from pyruntime_shaders.kernels import attention
from pyruntime_shaders.kernels.recurrence import STORAGE

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


SIZES = {"f32": 4, "vec4<f32>": 16}  # bytes


@pytest.mark.parametrize("width", [1, 32, 64, 65, 100, 256, 512])
@pytest.mark.parametrize("m", [1, 2, 4, 5, 128, 512, symbol("m")])
def test_blocks_fit_workgroup_memory(m: Dim, width: int) -> None:
    for kernel in attention.prepare(call(12, m, width)):
        arrays = re.findall(r"var<workgroup> \w+: array<(.+), (\d+)>;", kernel.render())
        assert len(arrays) == 5
        assert sum(SIZES[held] * int(count) for held, count in arrays) <= STORAGE
