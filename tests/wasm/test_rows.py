"""Reductions of rows that lie side by side are computed in vectors across them, of which none is gathered."""

from __future__ import annotations

import pytest
from pyruntime_wasm.kernels import kernel_for

from pyruntime.ir.dims import Dim, symbol
from tests.kernels.case import Maker
from tests.kernels.cases_row import layer_norm, softmax


def code_of(shape: tuple[Dim, ...], reduced: tuple[int, ...], *, norm: bool = True) -> str:
    made = (layer_norm if norm else softmax)(Maker({"n": 30}), "rows", shape, reduced)
    return kernel_for(made.call).render(made.call, "rows")


@pytest.mark.parametrize(
    ("shape", "reduced"), [((96, 3136), (0,)), ((3, 96, 56), (1,)), ((96, symbol("n")), (0,))]
)
def test_norms_over_channels_that_come_first(shape: tuple[Dim, ...], reduced: tuple[int, ...]) -> None:
    """Parameters lie along the channels, and are one element for all of a vector."""
    code = code_of(shape, reduced)
    assert "gather" not in code
    assert "scatter" not in code
    assert "copy < 4" in code


def test_norms_over_the_last_axis_lie_along_it() -> None:
    code = code_of((196, 768), (1,))
    assert "gather" not in code
    assert "horizontal" in code


def test_few_rows_and_long_bodies_are_not_written_out_several_times() -> None:
    assert "copy < 4" not in code_of((96, 12), (0,))
    assert "copy < 4" not in code_of((96, 3136), (0,), norm=False)
