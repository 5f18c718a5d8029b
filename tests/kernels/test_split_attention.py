"""Attention of a query whose keys are split: what the sizes leave of it is what one call gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest
from pyruntime_converter.targets.splitting import MANY, pays, split
from pyruntime_shaders.emit import kernels_for
from pyruntime_shaders.storage import Form
from pyruntime_shaders.tiling import BUSY

from pyruntime.ir.dims import Dim, symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Attention, KernelCall
from pyruntime.ir.scalar import Acc, Const, Load, call
from pyruntime.ir.symbols import evaluate
from pyruntime.ir.views import Tensor, View
from pyruntime.ops.interpret import allocate, run_call
from tests.kernels import webgpu_harness
from tests.kernels.case import Case, Maker
from tests.kernels.cases_attention import BOOL, EXCLUDED, F32, SCALED, attention, causal

GROUPED = (2, 2, 3)  # batch, heads of keys, queries to each


def _grouped(n: int) -> Case:
    maker = Maker(seed=n)
    keys, values = (maker.dense((2, 2, n, 12)) for _ in range(2))
    k, v = (replace(x, strides=(*x.strides[:2], 0, *x.strides[2:])) for x in (keys, values))
    return attention("grouped", GROUPED, 1, n, 12, maker=maker, k=k, v=v, order=(0, 3, 1, 2, 4))


def _seen(name: str, n: int, hidden: slice, *, safe: bool) -> Case:
    """Keys that a mask of bools excludes, all of them for the first of two heads, and some for the other."""
    maker = Maker(seed=n)
    mask = maker.dense((2, 1, n), BOOL)
    seen = np.ones((2, n), bool)
    seen[0], seen[1, hidden] = False, False
    maker.inputs[mask.tensor][...] = seen.ravel()
    score = call("select", Load(BOOL, 0), SCALED, EXCLUDED)
    return attention(name, (2,), 1, n, 8, maker=maker, score=score, inputs=(mask,), safe=safe)


def cases() -> Iterator[Case]:
    """Sizes about the ends of runs and blocks, masks, and what is no number."""
    for n in (MANY, MANY + 1, 700, 1031, 4097):
        yield attention(f"{n} keys", (2, 3), 1, n, 8)
    yield attention("no batch, widths 7 and 65", (), 1, 1285, 7, 65)
    yield attention("as many heads as are few", (BUSY - 1,), 1, MANY + 3, 4)
    yield attention("wide", (1,), 1, MANY + 9, 260)
    yield _grouped(901)
    yield attention("causal", (3,), 1, 900, 8, score=causal(3, 600), past=600)
    yield attention("causal, nothing seen", (3,), 1, 900, 8, score=causal(3, -1), past=-1, safe=True)
    for safe in (True, False):
        yield _seen(f"the first run is hidden, {safe}", 800, slice(0, 500), safe=safe)
        yield _seen(f"the last keys are hidden, {safe}", 801, slice(128, None), safe=safe)
    capped = call("mul", call("tanh", call("div", SCALED, Const(F32, 2.0))), Const(F32, 2.0))
    yield attention("capped", (2,), 1, 777, 16, score=capped)
    yield attention("large", (2,), 1, 777, 16, score=call("mul", Acc(F32), Const(F32, 1000.0)))
    maker = Maker(seed=5)
    k = maker.dense((3, 640, 8))
    maker.inputs[k.tensor][[3, 640 * 8 + 9]] = float("nan"), float("inf")  # of heads 0 and 1
    maker.inputs[k.tensor][2 * 640 * 8 :: 8] = float("-inf")  # scores of either sign, of head 2
    yield attention("not numbers", (3,), 1, 640, 8, maker=maker, k=k)


def symbolic() -> Iterator[tuple[Case, bool]]:
    """Sizes known at run time, and whether these are for the split."""
    sizes = [
        (1, 1, 2),
        (1, MANY - 1, 2),
        (1, MANY, 2),
        (1, 1999, 1),
        (2, 600, 2),
        (6, 600, 1),
        (1, 700, BUSY),
    ]
    for m, n, b in sizes:
        maker = Maker({"m": m, "n": n, "b": b}, seed=n)
        batch, rows, keys = symbol("b"), symbol("m"), symbol("n")
        bias = View(maker.dense((batch, keys)).tensor, 0, (keys, 0, 1))
        score = call("add", SCALED, Load(F32, 0))
        made = attention("x", (batch,), rows, keys, 12, maker=maker, score=score, inputs=(bias,))
        yield replace(made, name=f"{m} x {n}, {b}"), m == 1 and n >= MANY and b < BUSY


def parts_of(case: Case) -> list[KernelCall]:
    """The calls that do what the case's does."""
    assert isinstance(case.call, Attention)
    return split(case.call)


def check(case: Case, forms: Mapping[str, Form] | None = None, tolerance: float | None = None) -> None:
    """All calls on the GPU, against the one call by reference."""
    whole = case.call
    assert isinstance(whole, Attention)
    memory = {t: a.ravel().copy() for t, a in case.inputs.items()}
    held: dict[Tensor, Form] = {}
    for tensor in whole.tensors() if forms else ():
        held[tensor] = "halves"
        if tensor in memory:
            memory[tensor] = memory[tensor].astype(np.float16).astype(np.float32)
    actual = {t: a.copy() for t, a in memory.items()}
    memory[whole.output.tensor] = allocate(whole.output.tensor, case.symbols)
    run_call(whole, memory, case.symbols)
    for made in split(whole):
        for tensor in made.tensors():
            actual.setdefault(tensor, allocate(tensor, case.symbols))
        for kernel in kernels_for(made):
            webgpu_harness.gpu().run(kernel, actual, case.symbols, held)
    output = whole.output.tensor
    webgpu_harness.compare(whole, actual[output], memory[output], tolerance)


@pytest.mark.webgpu
@pytest.mark.parametrize("case", list(cases()), ids=lambda c: c.name)
def test_split(case: Case) -> None:
    assert len(parts_of(case)) == 2
    webgpu_harness.check(parts_of(case), case.inputs, case.symbols)
    check(case)


@pytest.mark.webgpu
@pytest.mark.parametrize("case", list(cases())[:6], ids=lambda c: c.name)
def test_split_without_subgroups(case: Case) -> None:
    webgpu_harness.check(parts_of(case), case.inputs, case.symbols, features=())


@pytest.mark.webgpu
@pytest.mark.parametrize(("case", "apart"), list(symbolic()), ids=lambda c: getattr(c, "name", ""))
def test_sizes_choose(case: Case, apart: bool) -> None:
    made = parts_of(case)
    assert len(made) == 3
    busy = [
        any(0 not in [evaluate(g, case.symbols) for g in k.workgroups] for k in kernels_for(c)) for c in made
    ]
    assert busy == [not apart, apart, apart]
    check(case)


@pytest.mark.webgpu
def test_halves() -> None:
    if not webgpu_harness.gpu().halves:
        pytest.skip("the adapter lacks shader-f16")
    case = attention("halves", (2,), 1, 1001, 16)
    check(case, {"all": "halves"}, webgpu_harness.TOLERANCE[DType.F16])


def test_runs_keep_a_gpu_busy() -> None:
    case = attention("x", (12,), 1, 4096, 64)
    runs, together = parts_of(case)
    for made in (runs, together):
        (kernel,) = kernels_for(made)
        x, y, z = (evaluate(g, {}) for g in kernel.workgroups)
        assert x * y * z >= (BUSY if made is runs else 12)


M, N = symbol("m"), symbol("n")


@pytest.mark.parametrize(
    ("batch", "m", "n", "splits"),
    [
        ((12,), 1, MANY, True),
        ((12,), 1, MANY - 1, False),
        ((BUSY,), 1, 4096, False),
        ((12,), 2, 4096, False),
        ((12,), M, M, False),  # a sentence that attends to itself
        ((12,), M, M + 8, False),
        ((12,), M, N, True),
        ((BUSY,), M, N, False),
        ((symbol("b"),), 1, N, True),
    ],
)
def test_where_it_pays(batch: tuple[Dim, ...], m: Dim, n: Dim, splits: bool) -> None:
    maker = Maker({"b": 1, "m": 1, "n": 1})
    made = attention("x", batch, m, n, 4, maker=maker).call
    assert isinstance(made, Attention)
    assert (pays(made) != 0) == splits
    assert (len(split(made)) > 1) == splits
