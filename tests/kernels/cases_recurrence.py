"""Recurrences that every target must compute: sizes, directions, lengths, phases, layouts of weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pyruntime.ir.dims import Dim, product, symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Phase, Recurrence
from pyruntime.ir.scalar import Acc, Const, Index, Load, Scalar, call
from pyruntime.ir.views import Tensor, View
from pyruntime.ops.layouts import pack_gates
from tests.kernels.case import Case, Maker, row_major

F32 = DType.F32
FORWARD, BACKWARD, BOTH, SWAPPED = (False,), (True,), (False, True), (True, False)


def _weight(maker: Maker, directions: int, units: int, sums: int, panels: int, dtype: DType) -> View:
    """Random weights of a phase, in panels or as ONNX has them: [direction][gate][unit][k]."""
    count = directions * sums * units * units
    data = (maker.values(count, dtype) / np.sqrt(units)).astype(dtype.value)
    maker.seed += 1
    if not panels:
        tensor = Tensor(f"w{maker.seed}", dtype, count, "input")
        maker.inputs[tensor] = data
        return View(tensor, 0, (sums * units * units, 1, units * units, units))
    packed = pack_gates(data.reshape(directions, sums, units, units), panels)
    return View(maker.weight(packed, "panels8"), 0, (packed.size // directions, 0, 0, 0))


def _case(
    name: str,
    phases: list[tuple[int, int, dict[int, Scalar]]],
    *,
    steps: Dim = 3,
    batch: Dim = 2,
    units: int = 5,
    reverse: tuple[bool, ...] = FORWARD,
    slots: int = 1,
    operands: int = 1,
    initial: bool = True,
    lengths: tuple[int, ...] = (),
    panels: int = 8,
    keeps_steps: bool = True,
    states: int = 1,
    strided: bool = False,
    maker: Maker | None = None,
    dtype: DType = F32,
) -> Case:
    """phases: source slot, number of sums, updates. Operands 0, 1, ... are over all of (t, d, b, u)."""
    maker = maker or Maker()
    directions = len(reverse)
    sizes = (steps, directions, batch, units)
    order = (3, 1, 0, 2) if strided else (0, 2, 1, 3)
    inputs = [maker.permuted(sizes, order, dtype) for _ in range(operands)]
    starts: list[int | None] = [None] * states
    if initial:
        starts[0] = len(inputs)
        view = maker.permuted((directions, batch, units), (2, 0, 1) if strided else (0, 1, 2), dtype)
        inputs.append(View(view.tensor, 0, (0, *view.strides)))
    where = None
    if lengths:
        where = len(inputs)
        tensor = Tensor("lengths", DType.I32, batch, "input")
        maker.inputs[tensor] = np.array(lengths, np.int32)
        inputs.append(View(tensor, 0, (0, 0, 1, 0)))
    kept = product(sizes) if keeps_steps else 0
    one = product(sizes[1:])
    out = Tensor("out", dtype, kept + states * one)
    made = Recurrence(
        name=name,
        steps=steps,
        batch=batch,
        units=units,
        reverse=reverse,
        slots=slots,
        initial=tuple(starts),
        lengths=where,
        phases=tuple(
            Phase(
                source,
                sums,
                _weight(maker, directions, units, sums, panels, dtype),
                panels,
                (*updates.items(),),
            )
            for source, sums, updates in phases
        ),
        keeps_steps=keeps_steps,
        finals=tuple(View(out, kept + s * one, row_major(sizes[1:])) for s in range(states)),
        inputs=tuple(inputs),
        output=View(out, 0, row_major(sizes)),
    )
    return Case(name, made, maker.inputs, maker.symbols)


def _plain(dtype: DType = F32) -> list[tuple[int, int, dict[int, Scalar]]]:
    """h = tanh(x + sum)."""
    return [(0, 1, {0: call("tanh", call("add", Load(dtype, 0), Acc(dtype, 1)))})]


def _gated(dtype: DType = F32) -> list[tuple[int, int, dict[int, Scalar]]]:
    """Four sums and a second state, as an LSTM has them."""
    c = call("add", call("mul", Acc(dtype, 1), Acc(dtype, 2)), call("mul", Acc(dtype, 3), Acc(dtype, 4)))
    c = call("add", call("mul", c, Const(dtype, 0.3)), Load(dtype, 0))
    return [(0, 4, {0: call("tanh", call("mul", Acc(dtype, 5), c)), 1: c})]


def _two_phases(dtype: DType = F32) -> list[tuple[int, int, dict[int, Scalar]]]:
    """A second product of what the first one made, as a GRU has it: slots h, r * h, z."""
    x = Load(dtype, 0)
    z, r = (call("tanh", call("add", x, Acc(dtype, i))) for i in (3, 4))
    new = call("tanh", call("add", x, Acc(dtype, 3)))
    mixed = call("add", call("mul", Acc(dtype, 2), call("sub", Acc(dtype, 0), new)), new)
    return [(0, 2, {1: call("mul", r, Acc(dtype, 0)), 2: z}), (1, 1, {0: mixed})]


def cases() -> Iterator[Case]:
    """All of them."""
    for steps, batch, units in (
        (1, 1, 1),
        (7, 1, 5),
        (2, 3, 8),
        (3, 7, 13),
        (0, 2, 5),
        (3, 0, 5),
        (2, 1, 129),
    ):
        yield _case(f"plain {steps}, {batch}, {units}", _plain(), steps=steps, batch=batch, units=units)
    for steps, batch, units in ((1, 1, 1), (5, 1, 31), (3, 2, 16), (2, 5, 9), (2, 14, 67), (2, 51, 133)):
        yield _case(
            f"gated {steps}, {batch}, {units}",
            _gated(),
            steps=steps,
            batch=batch,
            units=units,
            slots=2,
            states=2,
        )
    for reverse in (FORWARD, BACKWARD, BOTH):
        yield _case(f"two phases {reverse}", _two_phases(), reverse=reverse, slots=3, units=11)
        yield _case(f"lengths {reverse}", _plain(), reverse=reverse, batch=4, lengths=(3, 1, 2, 0))
        yield _case(f"no start {reverse}", _plain(), reverse=reverse, initial=False, units=10)
    yield _case("backward first", _plain(), reverse=SWAPPED)
    yield _case("three directions", _plain(), reverse=(True, True, False), lengths=(2, 3))
    yield _case("two backward", _plain(), reverse=(True, True))
    yield _case("lengths out of range", _plain(), batch=3, lengths=(9, -4, 2), reverse=BACKWARD)
    yield _case("lengths, two phases", _two_phases(), batch=3, slots=3, lengths=(1, 3, 2), reverse=BOTH)
    yield _case("final states alone", _gated(), slots=2, states=2, keeps_steps=False, reverse=BOTH)
    yield _case("final states alone, lengths", _plain(), batch=3, lengths=(0, 1, 3), keeps_steps=False)
    yield _case("strides", _gated(), slots=2, states=2, strided=True, reverse=BOTH, units=7)
    for units in (3, 8, 21):
        yield _case(
            f"weights as they come {units}", _two_phases(), slots=3, panels=0, units=units, reverse=BOTH
        )
    x = Load(F32, 0)
    differs = call("select", call("eq", Index(DType.I32, 1), Const(DType.I32, 0)), x, call("neg", x))
    tree = call("tanh", call("add", differs, Acc(F32, 1)))
    yield _case("directions apart", [(0, 1, {0: tree})], reverse=BOTH, units=9)
    maker = Maker({"batch": 3, "steps": 5})
    yield _case(
        "symbolic",
        _gated(),
        steps=symbol("steps"),
        batch=symbol("batch"),
        units=12,
        slots=2,
        states=2,
        reverse=BOTH,
        maker=maker,
    )
    yield _case("wider than a workgroup", _plain(), steps=2, batch=1, units=300)
    yield from _doubles()


def _doubles() -> Iterator[Case]:
    """In float64."""
    wide = DType.F64
    for steps, batch, units in ((1, 1, 1), (7, 3, 5), (0, 2, 5), (3, 0, 5), (2, 1, 37)):
        yield _case(
            f"doubles {steps}, {batch}, {units}",
            _gated(wide),
            steps=steps,
            batch=batch,
            units=units,
            slots=2,
            states=2,
            panels=0,
            dtype=wide,
        )
    for reverse in (FORWARD, BACKWARD, BOTH):
        yield _case(
            f"doubles, lengths {reverse}",
            _two_phases(wide),
            reverse=reverse,
            batch=5,
            lengths=(3, 1, -2, 9, 0),
            slots=3,
            units=11,
            panels=0,
            strided=True,
            dtype=wide,
        )
    yield _case(
        "doubles, final states alone",
        _plain(wide),
        initial=False,
        keeps_steps=False,
        panels=0,
        dtype=wide,
    )
