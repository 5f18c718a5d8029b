"""Every kernel case on a GPU through wgpu, compared with the reference executor."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from pyruntime.errors import UnsupportedError
from pyruntime_shaders.emit import kernels_for
from tests.kernels import webgpu_harness
from tests.kernels.case import Case

pytestmark = pytest.mark.webgpu


def _cases() -> Iterator[ParameterSet]:
    for module in sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)])):
        if module.startswith("cases_"):
            kind = module.removeprefix("cases_")
            for case in importlib.import_module(f"tests.kernels.{module}").cases():
                yield pytest.param(case, id=f"{kind}: {case.name}")


@pytest.mark.parametrize("case", list(_cases()))
def test_case(case: Case) -> None:
    try:
        kernels_for(case.call)
    except UnsupportedError as error:
        pytest.skip(error.reason)
    webgpu_harness.check([case.call], case.inputs, case.symbols)
