"""Attention of one query to many keys by many workgroups: runs of keys apart, and then together.

For WebGPU alone, as "flash-decoding" (Dao and others, 2023) does it. A workgroup takes a head of one query,
so that a decoder's step would leave most of a GPU idle for as long as its keys take, block after block.
"""

from __future__ import annotations

from dataclasses import replace

from pyruntime_shaders.tiling import BUSY

from pyruntime.ir.conditions import assume, choose, equal, less, pins
from pyruntime.ir.dims import Dim, ceildiv, maximum, minimum, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Attention, KernelCall, Reduction, Row, Split
from pyruntime.ir.program import Boundary, Program
from pyruntime.ir.scalar import Acc, Const, Load, call
from pyruntime.ir.views import Tensor, View
from pyruntime_converter.targets.edits import replaced

F32 = DType.F32
BLOCK = 128  # keys of which runs are multiples: of every form of the kernel
MANY = 4 * BLOCK  # keys from which a second dispatch pays: it takes about as long as a few blocks
GOAL = 2 * BUSY  # workgroups that runs of keys are to make


def split_keys(program: Program) -> Program:
    """The program with its attention split where that pays; where sizes decide, they choose in each run.

    `program` stays as it is; the result shares its tensors. Programs that set symbols of their own, on which
    sizes may hang, are left alone.
    """
    if program.own_symbols:
        return program
    made = {step.name: split(step) for step in program.steps if isinstance(step, Attention)}
    new = {s.name for steps in made.values() if len(steps) > 1 for s in steps}
    result = replaced(program, lambda step: made.get(step.name, (step,)))
    return replace(result, boundaries={**program.boundaries, **dict.fromkeys(new, Boundary.ALONE)})


def pays(attention: Attention) -> Dim:
    """A dim that is 1 where the split pays, for one query, and 0 elsewhere."""
    facts = pins(attention.m, 1)
    if facts is None:
        return 0
    # where there is one query: of a sentence that attends to itself, there is one key then
    long, few = (
        assume(d, facts) for d in (less(MANY - 1, attention.n), less(product(attention.batch), BUSY))
    )
    return minimum(equal(attention.m, 1), minimum(long, few))


def split(attention: Attention) -> list[KernelCall]:
    """The call, or what does the same: of three calls the sizes leave the first, or the other two."""
    on = pays(attention)
    if on == 0:
        return [attention]
    runs = _runs(attention, on)
    whole = [] if on == 1 else [replace(attention, m=choose(on, 0, attention.m))]
    return [*whole, runs, _together(attention, runs)]


def _runs(attention: Attention, on: Dim) -> Attention:
    """What each run of keys gives."""
    wanted = ceildiv(GOAL, maximum(product(attention.batch), 1))
    span = BLOCK * maximum(ceildiv(ceildiv(attention.n, BLOCK), wanted), 1)
    cut = Split(ceildiv(attention.n, span), span)
    runs = replace(attention, name=f"{attention.name}, runs of keys", m=on, split=cut)
    strides = tuple(product(runs.result[axis + 1 :]) for axis in range(len(runs.result)))
    return replace(runs, output=View(Tensor(runs.name, F32, product(runs.result)), 0, strides))


def _together(attention: Attention, runs: Attention) -> Row:
    """The result from what each run gives: a reduction over runs for each feature of a query."""
    assert runs.split is not None
    *outer, row, _ = runs.output.strides
    whole = (*outer, row * runs.split.parts)
    most, total, value = Load(F32, 0), Load(F32, 1), Load(F32, 2)

    def of_run(feature: int, step: int) -> View:
        return View(runs.output.tensor, feature, (*whole, step, row))

    scale = call("exp", call("sub", most, Acc(F32, 0)))  # of a run without keys, weights are 0 anyway
    nothing = Const(F32, 0.0 if attention.safe else float("nan"))
    return Row(
        name=f"{attention.name}, together",
        origins=attention.origins,
        inputs=(of_run(attention.value_width, 0), of_run(attention.value_width + 1, 0), of_run(0, 1)),
        output=replace(attention.output, strides=(*attention.output.strides, 0)),
        sizes=(*attention.batch, runs.m, attention.value_width, runs.split.parts),
        reduced=1,
        reductions=(
            Reduction("max", most),
            Reduction("sum", call("mul", total, scale)),
            Reduction("sum", call("mul", value, scale)),
        ),
        body=call(
            "select",
            call("eq", Acc(F32, 1), Const(F32, 0.0)),
            nothing,
            call("div", Acc(F32, 2), Acc(F32, 1)),
        ),
    )
