"""However workgroups divide a result, or share it, it is the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from pyruntime_shaders.division import alternatives
from pyruntime_shaders.emit import kernels_for
from pyruntime_shaders.tiling import Patch, Tile, options

from pyruntime.ir.dims import symbol
from pyruntime.ir.kernel import Conv, KernelCall
from pyruntime.ops.interpret import allocate, run_call
from tests.kernels import (
    cases_attention,
    cases_blocks,
    cases_conv,
    cases_integer,
    cases_matmul,
    cases_pool,
    cases_recurrence,
    cases_row,
    test_split_attention,
)
from tests.kernels.case import Case
from tests.kernels.webgpu_harness import compare, gpu

TUNABLE = ("attention", "conv", "matmul", "pool", "recurrence", "row")
MODULES = (
    *(cases_matmul, cases_conv, cases_integer, cases_blocks, cases_row, cases_attention),
    *(cases_pool, cases_recurrence),
)
EACH = 4  # alternatives that are tried of a case: from case to case others
WGSL_LIMITS = {"invocations": 256, "vectors": 1024}  # what every device has


def cases() -> Iterator[tuple[int, Case]]:
    every = [[*module.cases()] for module in MODULES]
    every.append([c for c in cases_conv.cases() if isinstance(c.call, Conv) and c.call.depthwise])
    for made in every:
        found = [c for c in made if c.call.template in TUNABLE and not c.wasm_only]
        found = [c for c in found if all(t.dtype.bits < 64 for t in c.call.tensors())]
        found = [c for c in found if any(alternatives(c.call))]
        yield from enumerate(found[:: max(len(found) // 3, 1)])


@pytest.mark.webgpu
@pytest.mark.parametrize(("turn", "case"), list(cases()), ids=lambda c: getattr(c, "name", ""))
def test_alternatives(turn: int, case: Case) -> None:
    check(case, [case.call], turn)


@pytest.mark.webgpu
@pytest.mark.parametrize("name", ["no batch, widths 7 and 65", "not numbers"])
def test_alternatives_of_what_is_split(name: str) -> None:
    """Runs of keys, and what they give together."""
    (case,) = (c for c in test_split_attention.cases() if c.name == name)
    calls = test_split_attention.parts_of(case)
    assert [c.template for c in calls] == ["attention", "row"]
    check(case, calls, 0)


def check(case: Case, calls: Sequence[KernelCall], turn: int) -> None:
    """Calls one after the other give what they do, whichever alternative computes one of them."""
    symbols = case.symbols or {}
    memory = {t: a.ravel().copy() for t, a in case.inputs.items()}
    for call in calls:
        kernels, tried = kernels_for(call), 0
        for tensor in call.tensors():
            memory.setdefault(tensor, allocate(tensor, symbols))
        untouched = {t: a.copy() for t, a in memory.items()}
        run_call(call, memory, symbols)
        output = call.output.tensor
        for number, others in enumerate(alternatives(call)):
            for other in others[turn % max(len(others), 1) :: max(len(others) // EACH, 1)]:
                tried += 1
                assert other.access == kernels[number].access
                actual = {t: a.copy() for t, a in untouched.items()}
                for kernel in [*kernels[:number], other, *kernels[number + 1 :]]:
                    gpu().run(kernel, actual, symbols)
                compare(call, actual[output], memory[output])
        assert tried


def test_every_form_has_alternatives() -> None:
    """Of a product whose rows are few, some, many, or so many that tiles pay."""
    (call,) = (c.call for c in cases_matmul.cases() if c.name == "symbols 70, wide")
    found = alternatives(call)
    assert len(found) == len(kernels_for(call)) == 4
    assert all(found)


def test_options_fit_every_device() -> None:
    n = symbol("n")
    found = options(n, n, 1 << 20)
    assert len(set(found)) == len(found) > 20
    assert any(isinstance(p, Tile) for p in found)
    assert any(p.slices > 1 for p in found)
    for patch in found:
        assert patch.threads <= WGSL_LIMITS["invocations"]
        if isinstance(patch, Tile):
            assert patch.vectors <= WGSL_LIMITS["vectors"]


def test_options_are_no_larger_than_what_there_is() -> None:
    few = options(6, 10, 3)
    assert few
    assert all(p.height <= 16 and p.width <= 20 and p.slices == 1 for p in few)
    assert Patch(16, 16, 8) not in few
