"""Steps in parts: every kernel gives the same bits however it is cut, and whoever computes a part."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable

import numpy as np
import pytest
import wasmtime
from pyruntime_wasm.kernels import Share, kernel_for
from pyruntime_wasm.kernels._share import best_cut
from pyruntime_wasm.toolchain import build

from pyruntime.ir.dims import Dim, ceildiv, symbol
from pyruntime.ir.symbols import evaluate
from tests.kernels import wasm_harness
from tests.wasm.test_kernels import KINDS, SPLATS, cases

pytestmark = pytest.mark.wasm


@pytest.mark.parametrize("kind", KINDS)
def test_parts_change_no_bit(kind: str) -> None:
    """There are more parts than many cases have rows; the lead runs them all, and then a team does."""
    together = {v: f"{v}-threads" for v in wasm_harness.VARIANTS}
    suite = wasm_harness.build(cases(kind), (*together, *together.values()), grain=1)
    for slow_splats in (False, True) if kind in SPLATS else (False,):
        for variant in suite.modules:
            suite.tune(variant, slow_splats=slow_splats)
        for case, variant in itertools.product(cases(kind), together):
            whole, _ = suite.run(case, variant)
            parts, _ = suite.run(case, variant, wasm_harness.TEAM)
            shared, _ = suite.run(case, together[variant])
            assert whole.tobytes() == parts.tobytes() == shared.tobytes(), f"{case.name}, {variant}"


@pytest.mark.parametrize(
    "kind", ["attention", "conv", "cumulate", "integer", "map", "matmul", "pool", "recurrence", "row"]
)
def test_most_calls_can_be_shared(kind: str) -> None:
    shared = [any(isinstance(a, Share) for a in kernel_for(c.call).arguments(c.call)) for c in cases(kind)]
    assert np.mean(shared) > 0.8


@pytest.mark.parametrize(
    ("units", "cut"),
    [
        ([symbol("batch"), 12, ceildiv(symbol("length"), 48)], {(1, 256): 1, (9, 256): 0}),
        ([symbol("batch"), symbol("length")], {(1, 256): 1, (9, 2): 0, (9, 256): 0, (3, 2): 0}),
        ([3, symbol("length")], {(1, 256): 1, (1, 2): 0}),
        ([3, 4], {(1, 1): 1}),
        ([symbol("length")], {(1, 256): 0}),
    ],
)
def test_an_axis_that_turns_out_short_is_not_cut(units: list[Dim], cut: dict[tuple[int, int], int]) -> None:
    share = best_cut(list(enumerate(units)), 0)
    for (batch, length), axis in cut.items():
        values = {"batch": batch, "length": length}
        assert evaluate(share.axis, values) == axis
        assert evaluate(share.units, values) == evaluate(units[axis], values)


SHARE = """
#include "team.h"
static void team_part(int32_t entry, int32_t step, int32_t part, int32_t parts, int32_t scratch) {}
static int32_t team_memory(int32_t entry, int32_t thread) { return 0; }
__attribute__((export_name("threads"))) void threads(int32_t count) { team_reset(count); }
__attribute__((export_name("run"))) int32_t run(int32_t step) { return team_run(0, step, 0); }
__attribute__((export_name("worker"))) void worker(int32_t thread) { team_help(thread, 0); }
__attribute__((export_name("parts"))) int32_t parts(int32_t most) { return team_parts(most); }
__attribute__((export_name("share"))) int32_t share(int32_t units, int32_t part, int32_t parts) {
  return team_share(units, part, parts);
}
"""


@pytest.fixture(scope="module")
def cut() -> Callable[[int, int], list[int]]:
    """The units of each part of a step of so many, by so many threads, as include/team.h has them."""
    store = wasmtime.Store()
    module = wasmtime.Module(store.engine, build({"share": SHARE}, ["simd"])["simd"])
    kind = module.imports[0].type
    assert isinstance(kind, wasmtime.MemoryType)
    exports = wasmtime.Instance(store, module, [wasmtime.Memory(store, kind)]).exports(store)

    def call(name: str, *arguments: int) -> int:
        function = exports[name]
        assert isinstance(function, wasmtime.Func)
        result: int = function(store, *arguments)
        return result

    def cut(units: int, threads: int) -> list[int]:
        call("threads", threads)
        parts = call("parts", units)
        ends = [call("share", units, part, parts) for part in range(parts + 1)]
        assert (ends[0], ends[-1]) == (0, units)
        return [end - begin for begin, end in itertools.pairwise(ends)]

    return cut


@pytest.mark.parametrize("threads", [1, 2, 3, 4, 64])
def test_no_part_is_empty(cut: Callable[[int, int], list[int]], threads: int) -> None:
    for units in [*range(1, 20), *range(20, 300, 13), 1 << 20, (1 << 31) - 1]:
        sizes = cut(units, threads)
        assert 0 < len(sizes) <= min(units, 4 * threads)
        assert min(sizes) > 0


@pytest.mark.parametrize("threads", [2, 3, 4])
def test_threads_end_together(cut: Callable[[int, int], list[int]], threads: int) -> None:
    """Nearly so also where one comes late, as long as it could still have done its part of the rest."""
    for units in range(1, 120):
        sizes = cut(units, threads)
        for late in range(0, units // threads, 3):
            for latest in range(threads):
                free = [(late if thread == latest else 0, thread) for thread in range(threads)]
                heapq.heapify(free)
                left = deque(sizes)
                while left:
                    time, thread = free[0]
                    size = left.pop() if thread % 2 else left.popleft()
                    heapq.heapreplace(free, (time + size, thread))
                end = max(time for time, _ in free)
                most = 1 + units // (12 if late else 30)
                assert end <= -(-(units + late) // threads) + most, (units, late, latest, sizes)
