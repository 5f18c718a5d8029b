"""Recurrent layers: a workgroup per row and direction walks through time with its state in workgroup memory.

Threads take units, and where units are few, several lanes share the sums of one. Vectors that products read
lie in workgroup memory; all others stay with the threads of their units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from pyruntime.ir.dims import Dim
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Phase, Recurrence
from pyruntime.ir.scalar import Acc, walk
from pyruntime_shaders.module import Kernel, Module, fold

THREADS = 256  # of a workgroup, at most
STORAGE = 16384  # bytes of workgroup memory that every device has
LANES = 8  # that share a unit, at most
AXES = ("t", "d", "b", "u")


class Shape(NamedTuple):
    """How a workgroup is laid over units: `width` at a time, `chunks` times, `lanes` threads on each."""

    width: int
    chunks: int
    lanes: int

    @property
    def threads(self) -> int:
        """Threads of the workgroup."""
        return self.width * self.lanes


class Slot(NamedTuple):
    """A vector of state: where its element for a unit is, how it begins, where in the result it ends."""

    number: int
    shared: bool
    initial: str
    final: str

    @property
    def element(self) -> str:
        """The element of the present unit."""
        return f"slot_{self.number}[{'u' if self.shared else 'chunk'}]"


class Step(NamedTuple):
    """A phase as the template prints it."""

    source: int
    weight: str  # buffer of the weights
    position: str  # where the first sum's weight at (d, k, u) lies
    sums: tuple[tuple[str, str], ...]  # name of each sum, and how far its weight is from there
    reads: tuple[int, ...]  # slots that the trees use
    statements: tuple[str, ...]
    updates: tuple[tuple[int, str], ...]


def patches(call: Recurrence) -> list[Shape]:
    """What may be chosen for a call, best or not: more lanes or fewer, and fewer units at a time."""
    usual = choose(call.units)
    widths = [w for w in (usual.width, usual.width // 2, usual.width // 4) if w >= 8]
    made = [Shape(w, -(-call.units // w), lanes) for w in widths for lanes in (1, 2, 4, 8)]
    return [
        s for s in made if s.threads <= THREADS and 1 in (s.lanes, s.chunks) and _bytes(call, s) <= STORAGE
    ]


def prepare(call: Recurrence, shape: Shape | None = None) -> list[Kernel]:
    """The dispatch of a call. Raises UnsupportedError for more units than workgroup memory holds.

    `shape` is a workgroup's, by default the one that is chosen.
    """
    directions, shape = len(call.reverse), shape or choose(call.units)
    module = Module(call, AXES, (call.steps, directions, call.batch, call.units))
    most = max(p.sums for p in call.phases)
    for index in range(call.slots + most):
        module.accumulates(index, DType.F32)
    shared = {p.source for p in call.phases}
    if (taken := _bytes(call, shape)) > STORAGE:
        raise module.unsupported(
            f"{call.units} units take {taken} bytes of workgroup memory, devices have {STORAGE}"
        )
    slots = tuple(
        Slot(
            number,
            number in shared,
            _start(call, number),
            _end(module, call, number),
        )
        for number in range(call.slots)
    )
    rows = call.batch * directions
    return [
        module.finish(
            "recurrence",
            (*fold(rows), 1),
            slots=slots,
            phases=tuple(_step(module, call, number, phase) for number, phase in enumerate(call.phases)),
            most_sums=most,
            shape=shape,
            rows=module.word("rows", rows, "u32"),
            batch=module.word("batch", call.batch, "u32"),
            steps=module.word("steps", call.steps),
            units=module.word("units", call.units),
            lengths="" if call.lengths is None else f"load_{call.lengths}(0, d, b, 0)",
            backward=_backward(call.reverse),
            keeps_steps=call.keeps_steps,
        )
    ]


def choose(units: int) -> Shape:
    """A workgroup for so many units: lanes where there are few, chunks where there are many."""
    width = min(max(1 << (units - 1).bit_length(), 8), THREADS)
    return Shape(width, -(-units // width), max(min(THREADS // width, width // 4, LANES), 1))


def _bytes(call: Recurrence, shape: Shape) -> int:
    """Of workgroup memory."""
    shared, most = {p.source for p in call.phases}, max(p.sums for p in call.phases)
    partial = most * shape.threads if shape.lanes > 1 else 0
    return 4 * (len(shared) * shape.width * shape.chunks + partial)


def _backward(reverse: Sequence[bool]) -> str:
    """A WGSL condition: whether direction d runs backward."""
    if len(set(reverse)) == 1:
        return str(reverse[0]).lower()
    return f"({sum(1 << d for d, backward in enumerate(reverse) if backward)}u >> u32(d)) % 2u == 1u"


def _start(call: Recurrence, slot: int) -> str:
    operand = call.initial[slot] if slot < len(call.initial) else None
    return "0.0f" if operand is None else f"load_{operand}(0, d, b, u)"


def _end(module: Module, call: Recurrence, slot: int) -> str:
    view = call.finals[slot] if slot < len(call.finals) else None
    if view is None:
        return ""
    return module.position(f"final_{slot}", view, AXES[1:])


def _step(module: Module, call: Recurrence, number: int, phase: Phase) -> Step:
    assert phase.panels in (0, 8), call.name
    trees = [tree for _, tree in phase.updates]
    block, leaves = module.block(trees), [n for tree in trees for n in walk(tree)]
    position, apart = _weight(module, number, phase)
    return Step(
        phase.source,
        module.buffer(phase.weight.tensor),
        position,
        tuple((f"acc_{call.slots + g}", f" + {g} * {apart}" if g else "") for g in range(phase.sums)),
        tuple(sorted({n.index for n in leaves if isinstance(n, Acc) and n.index < call.slots})),
        block.statements,
        tuple((slot, value) for (slot, _), value in zip(phase.updates, block.values, strict=True)),
    )


def _weight(module: Module, number: int, phase: Phase) -> tuple[str, str]:
    """Where the weight of the first sum at (d, k, u) lies, and from one sum to the next."""
    name, view = f"weight_{number}", phase.weight
    if not phase.panels:
        position = module.position(name, replace(view, strides=_without(view.strides, 2)), ("d", "k", "u"))
        return position, module.word(f"{name}_apart", view.strides[2])
    units = module.word("units", module.sizes[-1])
    panel = f"((u >> 3u) * {units} + k) * {8 * phase.sums} + (u & 7)"
    by_direction = 0 if module.sizes[1] == 1 else view.strides[0]
    whole = module.position(name, replace(view, strides=(by_direction,)), ("d",))
    return (panel if whole == "0" else f"{whole} + {panel}"), "8"


def _without(strides: Sequence[Dim], axis: int) -> tuple[Dim, ...]:
    return (*strides[:axis], *strides[axis + 1 :])
