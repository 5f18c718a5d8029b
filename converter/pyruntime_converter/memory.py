"""Memory plan: which temporaries share bytes, from their lifetimes, with sizes known or symbolic."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping

from pyruntime.errors import UnsupportedError
from pyruntime.ir.dims import Dim, align, at_least, maximum, symbol
from pyruntime.ir.graph import Origin
from pyruntime.ir.kernel import KernelCall
from pyruntime.ir.program import Placement, Program, Read, Step
from pyruntime.ir.symbols import open_symbols, substitute
from pyruntime.ir.views import Tensor
from pyruntime_converter.arenas import Block, pack, valued
from pyruntime_converter.groups import divide

# what has a place of its own, whatever runs
_FIXED = ("weight", "state")
Span = tuple[int, int]  # first and last step
MOST_ELEMENTS = 2**31 - 1  # of a tensor: indices are 32 bits on every target


def lifetimes(program: Program, held: Container[Tensor] | None = None) -> dict[Tensor, Span]:
    """First and last step of each temporary and input; inputs live from the start, outputs to the end.

    What lives at both sides of a loop's begin or end lives through all of the loop. With `held`, only what
    is in it is told.
    """
    spans: dict[Tensor, Span] = dict.fromkeys(program.inputs, (-1, -1))
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
        least = valued(tensor.elements, 1)
        if least is None or least > MOST_ELEMENTS:
            count = f"at least {least:,}" if least is not None else "more than 2^63"
            reason = f"{tensor.name!r} has {count} elements, and targets count up to 2^31"
            yield UnsupportedError(origin.op, origin.name, reason, "Export with smaller sizes.")


def _touched(step: Step) -> list[Tensor]:
    if isinstance(step, KernelCall):
        return step.tensors()
    return [step.tensor] if isinstance(step, Read) else []


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

    def block(size: Dim, first: int, last: int) -> Block:
        return Block(align(program.bytes_for(size), alignment), first, last)

    blocks = {t: block(t.elements * t.dtype.bytes, *span) for t, span in spans.items()}
    calls = [(number, step) for number, step in enumerate(program.steps) if isinstance(step, KernelCall)]
    needs = {number: block(size, number, number) for number, step in calls if (size := scratch(step)) != 0}
    offsets, total = pack([*blocks.values(), *needs.values()])
    return Placement(
        offsets={**fixed, **{t: base + offsets[b] for t, b in blocks.items()}},
        scratch=[base + offsets[needs[n]] if n in needs else 0 for n in range(len(program.steps))],
        arena_bytes=[base + total + slack],
    )


def plan_coloured(
    program: Program,
    *,
    held: Container[Tensor] | None = None,
    halves: Container[Tensor] = (),
    alignment: int = 256,
) -> Placement:
    """Arenas for WebGPU, where usage is tracked per buffer: few calls read the arena that they write.

    With `held` they are for these tensors alone. Of `halves` an element takes two bytes. What a call reads in
    the arena that it writes (`Placement.beside`) must be bound as written.
    """
    spans = lifetimes(program, held)
    sizes = {t: program.bytes_for(t.elements) * (2 if t in halves else 4 * t.words) for t in spans}
    counted = _counted(sizes.values())
    positive = {name: symbol(name) for name in counted}

    def block(tensor: Tensor, first: int, last: int) -> Block:
        size = substitute(sizes[tensor], positive)
        some = maximum(size, 1)  # what is empty is bound, too; alignment makes a byte enough for that
        # a sum is simpler than the larger of two
        need = size + 1 if some != size and at_least(size, 0) else some
        return Block(align(some, alignment), first, last, need)

    blocks = {t: block(t, *span) for t, span in spans.items()}
    apart: dict[Block, set[Block]] = {b: set() for b in blocks.values()}
    for call in program.calls:
        *reads, written = call.tensors()
        for tensor in reads if written in blocks else ():
            if tensor in blocks:
                apart[blocks[tensor]].add(blocks[written])
                apart[blocks[written]].add(blocks[tensor])
    packed = divide([*blocks.values()], apart, alignment) or [({}, 0)]
    arena_of = {block: number for number, (offsets, _) in enumerate(packed) for block in offsets}
    return Placement(
        {t: substitute(packed[arena_of[b]][0][b], counted) for t, b in blocks.items()},
        [],
        [substitute(total, counted) for _, total in packed],
        {t: arena_of[b] for t, b in blocks.items()},
    )


def _counted(sizes: Iterable[Dim]) -> dict[str, Dim]:
    """What symbols that may be 0 are taken for, where all that they decide is empty then: at least 1.

    So nothing is added to sizes for the sake of 0, and their sums are exact from 1 on.
    """
    found: dict[str, bool] = {}
    for size in sizes:
        for name in open_symbols(size):
            try:
                empty = substitute(size, {name: 0}) == 0
            except ZeroDivisionError:
                empty = False
            found[name] = empty and found.get(name, True)
    return {name: maximum(symbol(name, (0, None)), 1) for name, empty in found.items() if empty}
