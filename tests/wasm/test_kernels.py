"""Every kernel case in every variant of the Wasm target, compared with the reference executor."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.kernels import wasm_harness
from tests.kernels.case import Case

pytestmark = pytest.mark.wasm

# those that have other tiles where splats are slow
SPLATS = ("attention", "blocks", "conv", "matmul", "recurrence")


@functools.cache
def cases(kind: str) -> list[Case]:
    found = importlib.import_module(f"tests.kernels.cases_{kind}").cases()
    return [case for case in found if not case.webgpu_only]


MODULES = pkgutil.iter_modules([str(Path(__file__).parents[1] / "kernels")])
NAMES = sorted(m.name.removeprefix("cases_") for m in MODULES if m.name.startswith("cases_"))
KINDS = [kind for kind in NAMES if cases(kind)]


@pytest.fixture(scope="module")
def suites() -> Iterator[dict[str, wasm_harness.Suite]]:
    """One suite per kind, built when first used; let go before the interpreter ends."""
    built: dict[str, wasm_harness.Suite] = {}
    yield built
    built.clear()


def _parameters() -> Iterator[ParameterSet]:
    for kind in KINDS:
        for case in cases(kind):
            for variant in wasm_harness.VARIANTS:
                yield pytest.param(kind, case, variant, id=f"{kind}: {case.name}: {variant}")


def _suite(suites: dict[str, wasm_harness.Suite], kind: str) -> wasm_harness.Suite:
    if kind not in suites:
        suites[kind] = wasm_harness.build(cases(kind))
    return suites[kind]


@pytest.mark.parametrize(("kind", "case", "variant"), list(_parameters()))
def test_case(suites: dict[str, wasm_harness.Suite], kind: str, case: Case, variant: str) -> None:
    actual, expected = _suite(suites, kind).run(case, variant)
    wasm_harness.compare(case.call, actual, expected)


@pytest.mark.parametrize("variant", wasm_harness.VARIANTS)
@pytest.mark.parametrize("kind", SPLATS)
def test_where_splats_are_slow(suites: dict[str, wasm_harness.Suite], kind: str, variant: str) -> None:
    """The tiles that native sessions take. Other tiles for the last rows show in the rounding."""
    suite, tuned = _suite(suites, kind), 0
    for case in cases(kind):
        plain, expected = suite.run(case, variant)
        suite.tune(variant, slow_splats=True)
        actual, _ = suite.run(case, variant)
        suite.tune(variant, slow_splats=False)
        wasm_harness.compare(case.call, actual, expected)
        tuned += actual.tobytes() != plain.tobytes()
    if kind == "matmul" and variant == "relaxed":
        assert tuned, "nothing shows that there are other tiles"
