"""Products of symbolic sizes: one form of several has workgroups, and each of them is right."""

from __future__ import annotations

import pytest
from pyruntime_shaders import direct
from pyruntime_shaders.emit import kernels_for

from pyruntime.errors import UnsupportedError
from pyruntime.ir.cost import operations
from pyruntime.ir.kernel import Conv, MatMul
from pyruntime.ir.symbols import evaluate
from tests.kernels import webgpu_harness
from tests.kernels.case import Case
from tests.kernels.test_webgpu import all_cases


def forms(case: Case) -> list[str]:
    """The templates of all forms of a call."""
    try:
        return [k.template for k in kernels_for(case.call)]
    except UnsupportedError:
        return []


SYMBOLIC = [
    case
    for case in all_cases()
    if case.symbols
    and isinstance(case.call, (MatMul, Conv))
    and {"direct", case.call.template} <= {*forms(case)}
]


def test_there_are_products_and_convolutions() -> None:
    assert {case.call.template for case in SYMBOLIC} == {"matmul", "conv"}


@pytest.mark.webgpu
@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("case", SYMBOLIC, ids=lambda c: f"{c.call.template} {c.name}")
def test_sizes_choose_the_form(case: Case, tiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles from as many multiplications on as the call has, or from one more."""
    call = case.call
    count = evaluate(operations(call), case.symbols) // 2
    monkeypatch.setattr(direct, "LARGE", count if tiled else count + 1)
    kernels = kernels_for(call)
    busy = [k.template for k in kernels if 0 not in [evaluate(g, case.symbols) for g in k.workgroups]]
    rows = evaluate(call.m, case.symbols) if isinstance(call, MatMul) else None
    form = "matvec" if rows is not None and rows <= 4 else call.template if tiled else "direct"
    assert busy == ([] if rows == 0 else [form])
    webgpu_harness.check([call], case.inputs, case.symbols)
