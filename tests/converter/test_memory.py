"""The memory plan: what shares bytes is never needed at once, through branches and loops too."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from pyruntime_converter.frontends.onnx import read
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.memory import lifetimes, plan_coloured, plan_single
from pyruntime_converter.passes import optimise

from pyruntime.errors import UnsupportedError
from pyruntime.ir.dims import Dim, floordiv, symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Graph
from pyruntime.ir.kernel import Map
from pyruntime.ir.program import Jump, Placement, Program, Step
from pyruntime.ir.scalar import Load
from pyruntime.ir.symbols import evaluate, symbols_of
from pyruntime.ir.views import Tensor, View
from pyruntime.ops.interpret import run_program
from pyruntime.ops.run_graph import bind_symbols
from tests.converter.planned import run_in
from tests.frontends.control_models import MODELS

Plan = Callable[[Program], Placement]
PLANS: Mapping[str, Plan] = {
    "single": lambda p: plan_single(p, base=0, fixed={}, scratch=lambda _: 0),
    "coloured": plan_coloured,
}


def lowered(name: str) -> tuple[Graph, Program]:
    graph = read(MODELS[name][0].SerializeToString())
    optimise(graph)
    return graph, lower(graph)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("name", MODELS)
def test_nothing_that_is_needed_is_overwritten(name: str, plan: str) -> None:
    graph, program = lowered(name)
    placement = PLANS[plan](program)
    for feeds in MODELS[name][1]:
        inputs = [np.asarray(feeds[v.name]) for v in graph.inputs]
        symbols = bind_symbols(graph, feeds)
        expected = run_program(program, inputs, symbols)
        for made, wanted in zip(run_in(program, placement, inputs, symbols), expected, strict=True):
            np.testing.assert_array_equal(made.reshape(wanted.shape), wanted)


def test_arenas_hold_the_largest_iteration() -> None:
    _, program = lowered("loop-prefixes")
    (size,) = plan_single(program, base=0, fixed={}, scratch=lambda _: 0).arena_bytes
    assert symbols_of(size) == {"n"}
    program.ranges.clear()
    with pytest.raises(UnsupportedError, match="depends on iterations or data"):
        plan_coloured(program)


def copy(source: Tensor, target: Tensor) -> Map:
    views = [View(t, 0, (1,)) for t in (source, target)]
    return Map(name="copy", inputs=(views[0],), output=views[1], sizes=(4,), body=Load(DType.F32, 0))


def test_what_crosses_a_loop_lives_through_it() -> None:
    x, before, inside, result, late, out = (
        Tensor(name, DType.F32, 4, "input" if name == "x" else "temporary")
        for name in ("x", "before", "inside", "result", "late", "out")
    )
    steps: list[Step] = [
        copy(x, before),
        Jump(6, 1),
        copy(before, inside),  # from before the loop
        copy(inside, result),  # to behind it
        copy(inside, late),
        Jump(1),
        copy(result, out),
    ]
    program = Program("loop", [], [x], [out], steps)
    assert program.loops() == [(1, 5)]
    spans = lifetimes(program)
    assert spans == {x: (-1, 0), before: (0, 5), inside: (2, 4), result: (1, 6), late: (4, 4), out: (6, 7)}


def test_inner_loops_widen_before_outer_ones() -> None:
    x, y, out = Tensor("x", DType.F32, 4, "input"), Tensor("y", DType.F32, 4), Tensor("out", DType.F32, 4)
    steps: list[Step] = [Jump(6, 1), copy(x, y), Jump(5, 1), copy(y, out), Jump(2), Jump(0)]
    assert lifetimes(Program("loops", [], [x], [out], steps)) == {x: (-1, 5), y: (1, 4), out: (0, 6)}


def residuals(*stages: Dim) -> Program:
    """As in ResNets: each stage begins with a projection, and adds to it what three calls make of a value."""
    x = Tensor("x", DType.F32, stages[0] // 8, "input")
    steps: list[Step] = []

    def made(name: str, elements: Dim, *reads: Tensor) -> Tensor:
        out = Tensor(name, DType.F32, elements)
        views = tuple(View(t, 0, (1,)) for t in reads)
        body = Load(DType.F32, 0)
        steps.append(Map(name=name, inputs=views, output=View(out, 0, (1,)), sizes=(elements,), body=body))
        return out

    value = made("second", stages[0] // 4, made("first", stages[0], x))
    for wide in stages:
        for i in range(3):
            inner = made(f"inner {wide} {i}", wide // 4, made(f"outer {wide} {i}", wide // 4, value))
            value = made(f"sum {wide} {i}", wide, inner, value if i else made(f"to {wide}", wide, value))
    symbols = sorted(set[str]().union(*map(symbols_of, stages)))
    return Program("residuals", symbols, [x], [value], steps)


def live_peak(program: Program, **symbols: int) -> int:
    """The most bytes that live at one step, each tensor at a multiple of 256."""
    spans = lifetimes(program)
    sizes = {t: -(-4 * evaluate(t.elements, symbols) // 256) * 256 for t in spans}
    return max(
        sum(sizes[t] for t, (first, last) in spans.items() if first <= step <= last)
        for step in range(len(program.steps))
    )


def test_arenas_hold_little_more_than_lives_at_once() -> None:
    program = residuals(51200, 25600, 12800)
    placement = plan_coloured(program)
    assert sum(int(str(b)) for b in placement.arena_bytes) <= 1.15 * live_peak(program)
    for call in program.calls:
        *reads, written = call.tensors()
        assert placement.arena_of[written] not in {placement.arena_of[t] for t in reads}


OPEN = symbol("n", (0, None))


@pytest.mark.parametrize("stages", [(512 * OPEN, 1024 * OPEN), (504 * OPEN + 8, floordiv(4096, OPEN + 1))])
def test_sizes_that_may_be_nothing(stages: tuple[Dim, Dim]) -> None:
    """Each tensor has bytes of its own to be bound, be it larger at 0 than at 1 or not."""
    program = residuals(*stages)
    placement = plan_coloured(program)
    spans = lifetimes(program)
    for n in (0, 1, 2, 100):
        ends = [evaluate(total, {"n": n}) for total in placement.arena_bytes]
        begin = {t: evaluate(placement.offsets[t], {"n": n}) for t in spans}
        end = {t: begin[t] + max(4 * evaluate(t.elements, {"n": n}), 16) for t in spans}
        for one, (first, last) in spans.items():
            assert begin[one] % 256 == 0
            assert end[one] <= ends[placement.arena_of[one]]
            for other, (born, dead) in spans.items():
                if one is not other and placement.arena_of[one] == placement.arena_of[other]:
                    apart = last < born or dead < first
                    assert apart or end[one] <= begin[other] or end[other] <= begin[one], (n, one, other)


def test_arenas_hold_little_more_than_lives_at_once_from_one_on() -> None:
    """Sizes that may be 0 take nothing more for it where they are not."""
    program = residuals(512 * OPEN, 256 * OPEN, 128 * OPEN)
    placement = plan_coloured(program)
    for n in (1, 2, 3, 64):
        taken = sum(evaluate(b, {"n": n}) for b in placement.arena_bytes)
        assert taken <= 1.15 * live_peak(program, n=n)
