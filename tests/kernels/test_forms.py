"""Kernels over tensors that lie in GPU memory as float16, packed or not, or as 8-bit integers, packed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pyruntime_shaders.emit import kernels_for
from pyruntime_shaders.storage import Form

from pyruntime.errors import UnsupportedError
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import KernelCall, Map
from pyruntime.ir.scalar import Load
from pyruntime.ir.views import Tensor, View
from pyruntime.ops.interpret import allocate
from tests.kernels import webgpu_harness
from tests.kernels.case import Case
from tests.kernels.test_webgpu import all_cases

pytestmark = pytest.mark.webgpu

# values of templates that tell how they read 8-bit integers
WAYS = ("template", "dots", "type", "a_order", "outer_axes", "height")
PATTERNS = np.arange(65536, dtype=np.uint16).view(np.float16)
# a tie to even either way, the last that is finite, the first that is not, subnormals
EDGES = [1 + 2**-11, 1 + 3 * 2**-11, 65519.9, 65520.0, -65520.0, 3e38, 2.0**-24, 3 * 2.0**-25, 6e-5, -0.0]


def floats(tensors: list[Tensor]) -> list[Tensor]:
    return [t for t in tensors if t.dtype in (DType.F16, DType.F32)]


def different() -> Iterator[Case]:
    """One case for each way in which a template binds floats."""
    seen: set[object] = set()
    for case in all_cases():
        if case.wasm_only:
            continue
        try:
            kernels = kernels_for(case.call)
        except UnsupportedError:
            continue
        bound = tuple((k.template, frozenset(b[1:3] for b in k.bindings)) for k in kernels)
        if floats(case.call.tensors()) and bound not in seen:
            seen.add(bound)
            yield case


def half(array: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        return array.astype(np.float16).astype(array.dtype)


def rounded(case: Case, halves: list[Tensor]) -> dict[Tensor, NDArray[Any]]:
    """Elements that float16 can hold."""
    given = {t: case.inputs.get(t, allocate(t, case.symbols)) for t in case.call.tensors()}
    return {
        t: half(a) if t in halves else a for t, a in given.items() if t in case.inputs or t.kind == "weight"
    }


def _needs_halves() -> None:
    if not webgpu_harness.gpu().halves:
        pytest.skip("the adapter lacks shader-f16")


@pytest.mark.parametrize("case", list(different()), ids=lambda c: f"{c.call.template} {c.name}")
def test_read_packed(case: Case) -> None:
    read = floats(case.call.tensors()[:-1])
    forms: dict[Tensor, Form] = dict.fromkeys(read, "packed")
    for actual, expected in webgpu_harness.results([case.call], rounded(case, read), case.symbols, forms):
        webgpu_harness.compare(case.call, actual, expected)


def integers() -> Iterator[Case]:
    """Of 8-bit operands, one case for each way in which a template reads them."""
    seen: set[str] = set()
    for case in all_cases():
        if case.wasm_only or not octets(case.call.tensors()[:-1]):
            continue
        try:
            kernels = kernels_for(case.call)
        except UnsupportedError:
            continue
        ways = {repr([dict(k.values).get(name) for name in WAYS]) for k in kernels}
        if not ways <= seen:
            seen |= ways
            yield case


def octets(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [t for t in tensors if t.dtype in (DType.I8, DType.U8)]


@pytest.mark.parametrize("dot4", [True, False])
@pytest.mark.parametrize("case", list(integers()), ids=lambda c: f"{c.call.template} {c.name}")
def test_packed_integers(case: Case, dot4: bool) -> None:
    """All 8-bit operands four in a word, which are multiplied with the built-in function and without."""
    features = webgpu_harness.gpu().features - ({"packed_4x8_integer_dot_product"} if not dot4 else set())
    forms: dict[Tensor, Form] = dict.fromkeys(octets(case.call.tensors()[:-1]), "packed")
    for actual, expected in webgpu_harness.results([case.call], case.inputs, case.symbols, forms, features):
        webgpu_harness.compare(case.call, actual, expected)


@pytest.mark.parametrize("case", list(different()), ids=lambda c: f"{c.call.template} {c.name}")
def test_over_halves(case: Case) -> None:
    _needs_halves()
    touched = floats(case.call.tensors())
    forms: dict[Tensor, Form] = dict.fromkeys(touched, "halves")
    for actual, expected in webgpu_harness.results([case.call], rounded(case, touched), case.symbols, forms):
        if case.call.output.tensor in touched:
            expected = half(expected)
        webgpu_harness.compare(case.call, actual, expected, webgpu_harness.TOLERANCE[DType.F16])


def _copy(count: int) -> tuple[KernelCall, Tensor, Tensor]:
    source, target = Tensor("x", DType.F32, count), Tensor("y", DType.F32, count)
    views = (View(source, 0, (1,)), View(target, 0, (1,)))
    body = Load(DType.F32, 0)
    return Map(name="copy", inputs=views[:1], output=views[1], sizes=(count,), body=body), source, target


@pytest.mark.parametrize("form", ["packed", "halves"])
def test_every_pattern_is_read(form: Form) -> None:
    if form == "halves":
        _needs_halves()
    call, source, _ = _copy(65535)
    ((actual, expected),) = webgpu_harness.results(
        [call], {source: PATTERNS[:-1].astype(np.float32)}, forms={source: form}
    )
    np.testing.assert_array_equal(actual, expected)
    zero = expected == 0
    np.testing.assert_array_equal(np.signbit(actual[zero]), np.signbit(expected[zero]))


def test_halves_are_rounded_to_the_nearest() -> None:
    _needs_halves()
    values = np.array([*EDGES, np.inf, -np.inf, np.nan], np.float32)
    call, source, target = _copy(values.size)
    ((actual, _),) = webgpu_harness.results([call], {source: values}, forms={target: "halves"})
    np.testing.assert_array_equal(actual, half(values))
