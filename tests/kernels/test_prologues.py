"""Products that make levels of the floats that they load, on a GPU, compared with the reference executor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from pyruntime_shaders.octets import by_fours

from pyruntime.ir.dims import align, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Conv, MatMul
from pyruntime.ir.prologue import Prologue
from pyruntime.ir.scalar import Const, Load, call, cast
from pyruntime.ir.symbols import evaluate as value_of
from pyruntime.ir.views import Tensor, View
from pyruntime.ops.quantization import limits
from tests.kernels import webgpu_harness
from tests.kernels.case import Case, row_major
from tests.kernels.cases_integer import cases

F32 = DType.F32
FACTORS = (0.5, 1.0, 4.0)  # powers of two: no rounding tells devices apart
EACH = 11  # one of so many: more have the same forms of the kernels


def quantising() -> Iterator[Case]:
    """Some of the cases of short integers, of floats times a factor for each row, or pixel."""
    found = [c for c in map(_quantising, cases()) if c is not None]
    for number, case in enumerate(found):
        if number % EACH == 0 or case.symbols:
            yield case
            if isinstance(case.call, MatMul):
                yield from (_behind(case, whole) for whole in (False, True))


def _quantising(case: Case) -> Case | None:
    made = case.call
    if isinstance(made, MatMul):
        left, weight = made.a, made.b
        rows = (*made.batch, made.m)
    elif isinstance(made, Conv):
        left, weight = made.x, made.weight
        rows = (made.n, *made.in_size)
    else:
        return None
    dtype = left.tensor.dtype
    if not by_fours(dtype, weight.tensor.dtype, made.panels):
        return None
    low, high = limits(dtype)
    zero = int(left.fill)
    levels = case.inputs[left.tensor]
    random = np.random.default_rng(levels.size)
    x = Tensor("x", F32, left.tensor.elements, "input")
    factors = Tensor("factors", F32, product(rows), "input")
    count = value_of(factors.elements, case.symbols)
    shared = View(factors, 0, (*row_major(rows), 0))
    scaled = call("add", call("round", call("mul", Load(F32, 0), Load(F32, 1))), Const(F32, float(zero)))
    body = cast(call("min", call("max", scaled, Const(F32, float(low))), Const(F32, float(high))), dtype)
    inputs = {
        **{t: v for t, v in case.inputs.items() if t is not left.tensor},
        x: ((levels.astype(np.float32) - zero) * 0.75).astype(np.float32),
        factors: random.choice(FACTORS, count).astype(np.float32),
    }
    operand, prologue = replace(left, tensor=x), Prologue(body, (shared,))
    changed: MatMul | Conv
    if isinstance(made, MatMul):
        changed = replace(made, a=operand, prologue=prologue)
    else:
        changed = replace(made, x=operand, prologue=prologue)
    return Case(case.name, changed, inputs, case.symbols, case.wasm_only)


def _behind(case: Case, whole: bool) -> Case:
    """The same with the factors behind the floats, in one tensor, which may end with a whole four."""
    product = case.call
    assert isinstance(product, MatMul)
    assert product.prologue is not None
    x, (shared,) = product.a.tensor, product.prologue.others
    elements = align(x.elements + shared.tensor.elements, 4) if whole else x.elements + shared.tensor.elements
    tensor = Tensor("x", F32, elements, "input")
    both = np.concatenate([case.inputs[t].ravel() for t in (x, shared.tensor)])
    both = np.pad(both, (0, value_of(elements, case.symbols) - both.size))
    inputs = {**{t: v for t, v in case.inputs.items() if t not in (x, shared.tensor)}, tensor: both}
    prologue = replace(product.prologue, others=(replace(shared, tensor=tensor, offset=x.elements),))
    changed = replace(product, a=replace(product.a, tensor=tensor), prologue=prologue)
    return Case(
        f"{case.name}, behind{', whole' if whole else ''}", changed, inputs, case.symbols, case.wasm_only
    )


@pytest.mark.webgpu
@pytest.mark.parametrize("case", list(quantising()), ids=lambda c: f"{c.call.template} {c.name}")
def test_levels_are_made_of_what_is_loaded(case: Case) -> None:
    webgpu_harness.check([case.call], case.inputs, case.symbols)
