"""Every kernel case on a GPU through wgpu, compared with the reference executor."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyruntime_shaders.emit import kernels_for

from pyruntime.errors import UnsupportedError
from pyruntime.pack.sections import features_of
from tests.kernels import webgpu_harness
from tests.kernels.case import Case


def all_cases() -> Iterator[Case]:
    """The cases of every `cases_*.py` of this folder."""
    for module in sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)])):
        if module.startswith("cases_"):
            yield from importlib.import_module(f"tests.kernels.{module}").cases()


@pytest.mark.webgpu
@pytest.mark.parametrize("case", list(all_cases()), ids=lambda c: f"{c.call.template} {c.name}")
def test_case(case: Case) -> None:
    if case.wasm_only:
        pytest.skip(case.wasm_only)
    try:
        kernels = kernels_for(case.call)
    except UnsupportedError as error:
        if all(t.dtype.bits < 64 for t in case.call.tensors()):
            raise
        pytest.skip(error.reason)
    webgpu_harness.check([case.call], case.inputs, case.symbols)
    if webgpu_harness.gpu().features and any(features_of(k.render()) for k in kernels):
        webgpu_harness.check([case.call], case.inputs, case.symbols, features=())
