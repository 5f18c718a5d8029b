"""Memory plan: which temporaries share bytes, from their lifetimes, with sizes known or symbolic.

Known sizes are placed greedily, largest first, at the lowest gap that is free for the whole lifetime
(as in Pisarchyk and Lee, "Efficient memory management for deep neural net inference", 2020). With symbolic
sizes, tensors share slots; a slot is as large as the largest of its tensors, and slots lie one after another.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pyruntime.errors import UnsupportedError
from pyruntime.ir.dims import Dim, align, at_least, evaluate, maximum, symbols_of
from pyruntime.ir.graph import Origin
from pyruntime.ir.kernel import KernelCall, Tensor
from pyruntime.ir.program import Placement, Program, Read, Step

# what has a place of its own, whatever runs
_FIXED = ("weight", "state")
# what symbols are taken for when sizes must be ordered
_TYPICAL = 16
MOST_ELEMENTS = 2**31 - 1  # of a tensor: indices are 32 bits on every target


@dataclass(eq=False)
class Block:
    """Bytes needed from step `first` to step `last`, both inclusive."""

    bytes: Dim
    first: int
    last: int

    def overlaps(self, other: Block) -> bool:
        """Whether both are alive at some step."""
        return self.first <= other.last and other.first <= self.last


def lifetimes(program: Program, held: Container[Tensor] | None = None) -> dict[Tensor, tuple[int, int]]:
    """First and last step of each temporary and input; inputs live from the start, outputs to the end.

    What lives at both sides of a loop's begin or end lives through all of the loop. With `held`, only what
    is in it is told.
    """
    spans: dict[Tensor, tuple[int, int]] = dict.fromkeys(program.inputs, (-1, -1))
    for number, step in enumerate(program.steps):
        for tensor in _touched(step):
            if tensor.kind not in _FIXED:
                first, _ = spans.get(tensor, (number, number))
                spans[tensor] = (first, number)
    for tensor in program.outputs:
        first, _ = spans.get(tensor, (-1, -1))
        spans[tensor] = (first, len(program.steps))
    for begin, end in sorted(program.loops(), key=lambda loop: loop[1] - loop[0]):  # inner ones first
        for tensor, (first, last) in spans.items():
            inside = begin <= first and last <= end
            if not inside and first <= end and last >= begin:
                spans[tensor] = (min(first, begin), max(last, end))
    return spans if held is None else {t: span for t, span in spans.items() if t in held}


def too_large(program: Program) -> Iterator[UnsupportedError]:
    """What is wrong with tensors that have more elements than targets count, whatever is fed."""
    made = {t: Origin("Input", t.name) for t in program.inputs}
    for call in program.calls:
        made.setdefault(call.output.tensor, (*call.origins, Origin(call.template, call.name))[0])
    for tensor, origin in made.items():
        least = _valued(tensor.elements, 1)
        if least is None or least > MOST_ELEMENTS:
            count = f"at least {least:,}" if least is not None else "more than 2^63"
            reason = f"{tensor.name!r} has {count} elements, and targets count up to 2^31"
            yield UnsupportedError(origin.op, origin.name, reason, "Export with smaller sizes.")


def _valued(dim: Dim, size: int) -> int | None:
    """A dim with this for each of its symbols; None outside 64 bits."""
    try:
        return evaluate(dim, dict.fromkeys(symbols_of(dim), size))
    except OverflowError:
        return None


def _touched(step: Step) -> list[Tensor]:
    if isinstance(step, KernelCall):
        return step.tensors()
    return [step.tensor] if isinstance(step, Read) else []


def pack_blocks(blocks: Sequence[Block], alignment: int) -> tuple[list[Dim], Dim]:
    """An offset for each block, and the total bytes."""
    sizes = [align(b.bytes, alignment) for b in blocks]
    order = sorted(range(len(blocks)), key=lambda i: (-_typical(sizes[i]), i))
    if all(isinstance(s, int) for s in sizes):
        return _best_fit(blocks, sizes, order)
    return _slots(blocks, sizes, order)


def _typical(dim: Dim) -> int:
    found = _valued(dim, _TYPICAL)
    return 2**63 if found is None else found


def _best_fit(blocks: Sequence[Block], sizes: Sequence[Dim], order: Sequence[int]) -> tuple[list[Dim], Dim]:
    offsets: dict[int, int] = {}
    total = 0
    for i in order:
        size = _typical(sizes[i])
        taken = sorted(
            (offsets[j], offsets[j] + _typical(sizes[j])) for j in offsets if blocks[i].overlaps(blocks[j])
        )
        place = 0
        for begin, end in taken:
            if begin - place >= size:
                break
            place = max(place, end)
        offsets[i] = place
        total = max(total, place + size)
    return [offsets[i] for i in range(len(blocks))], total


def _slots(blocks: Sequence[Block], sizes: Sequence[Dim], order: Sequence[int]) -> tuple[list[Dim], Dim]:
    slots: list[tuple[Dim, list[int]]] = []
    for i in order:
        free = [
            s for s, (_, used) in enumerate(slots) if not any(blocks[i].overlaps(blocks[j]) for j in used)
        ]
        # sharing pays where the slot does not have to grow, or grows to nothing but this block
        fitting = [s for s in free if at_least(slots[s][0], sizes[i])] or free
        if fitting:
            size, used = slots[fitting[-1]]
            slots[fitting[-1]] = (maximum(size, sizes[i]), [*used, i])
        else:
            slots.append((sizes[i], [i]))
    offsets: dict[int, Dim] = {}
    place: Dim = 0
    for size, used in slots:
        offsets.update(dict.fromkeys(used, place))
        place = place + size
    return [offsets[i] for i in range(len(blocks))], place


def plan_single(
    program: Program,
    *,
    base: int,
    fixed: Mapping[Tensor, int],
    scratch: Callable[[KernelCall], Dim],
    held: Container[Tensor] | None = None,
    alignment: int = 64,
    slack: int = 64,
) -> Placement:
    """One arena from address `base` on, as the Wasm target has it; weights and states are `fixed` already.

    With `held` it is for these tensors alone.
    """
    spans = lifetimes(program, held)
    blocks = [Block(program.bytes_for(t.elements) * t.dtype.bytes, *spans[t]) for t in spans]
    needs = [
        (number, program.bytes_for(scratch(step)) if isinstance(step, KernelCall) else 0)
        for number, step in enumerate(program.steps)
    ]
    blocks += [Block(size, step, step) for step, size in needs if size != 0]
    offsets, total = pack_blocks(blocks, alignment)
    placed = [base + o for o in offsets]
    extra = iter(placed[len(spans) :])
    return Placement(
        offsets={**fixed, **dict(zip(spans, placed, strict=False))},
        scratch=[next(extra) if size != 0 else 0 for _, size in needs],
        arena_bytes=[base + total + slack],
    )


def plan_coloured(
    program: Program,
    *,
    held: Container[Tensor] | None = None,
    element_bytes: int = 4,
    alignment: int = 256,
) -> Placement:
    """Arenas for WebGPU, where usage is tracked per buffer: no call reads the arena that it writes.

    With `held` they are for these tensors alone.
    """
    spans = lifetimes(program, held)
    apart: dict[Tensor, set[Tensor]] = {t: set() for t in spans}
    for call in program.calls:
        *reads, written = call.tensors()
        for tensor in reads if written in spans else ():
            if tensor in spans:
                apart[tensor].add(written)
                apart[written].add(tensor)
    arena_of: dict[Tensor, int] = {}
    for tensor in spans:
        taken = {arena_of[other] for other in apart[tensor] if other in arena_of}
        arena_of[tensor] = next(i for i in range(len(spans) + 1) if i not in taken)
    offsets: dict[Tensor, Dim] = {}
    arena_bytes: list[Dim] = []
    for arena in range(max(arena_of.values(), default=0) + 1):
        members = [t for t in spans if arena_of[t] == arena]
        blocks = [
            Block(maximum(program.bytes_for(t.elements) * element_bytes, 16), *spans[t]) for t in members
        ]
        places, total = pack_blocks(blocks, alignment)
        offsets.update(zip(members, places, strict=True))
        arena_bytes.append(total)
    return Placement(offsets, [], arena_bytes, arena_of)
