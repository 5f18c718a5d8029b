"""The memory plan over time: which tensors live at each step, and how much of the arena that takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pyruntime.cli.inspection.programs import Plan, host_steps
from pyruntime.pack.account import Account, Target
from pyruntime.pack.expressions import Evaluator, ExpressionError
from pyruntime.pack.schema import Manifest
from pyruntime.pack.targets import ALIGNMENT, WEIGHTS_BASE, Dispatch, GpuTensor, Wasm, WebGpu, gpu_bytes

WORD, LEAST_BINDING, WASM_ALIGNMENT = 4, 16, 64


@dataclass(frozen=True)
class Life:
    """A tensor in memory.

    Attributes:
        tensor: its index in the account.
        bytes: what it takes of the arena.
        first, last: the steps at which it is needed; -1 and the number of steps are the ends of the run.
        arena, offset: where it lies; None where the pack does not tell.
    """

    tensor: int
    bytes: int
    first: int
    last: int
    arena: int | None = None
    offset: int | None = None


@dataclass(frozen=True)
class Memory:
    """The temporaries of an entry on one target.

    Attributes:
        target: which.
        lives: of every input, output and temporary.
        live: bytes of those that live at each step.
        arenas: bytes of the arenas that hold them (on Wasm one, with scratch memory).
        beside: on WebGPU, the steps that read the arena that they write.
    """

    target: Target
    lives: tuple[Life, ...]
    live: tuple[int, ...]
    arenas: tuple[int, ...]
    beside: frozenset[str] = frozenset()

    @property
    def peak(self) -> int:
        """The largest sum of bytes that live at one step."""
        return max(self.live, default=0)


def memory_of(
    manifest: Manifest,
    number: int,
    target: Target,
    account: Account | None,
    plan: Plan,
    symbols: Mapping[str, int],
) -> Memory | None:
    """The memory of entry `number` on a target of the pack; None where the pack does not tell."""
    if account is None:
        return None
    values = Evaluator(symbols)
    spans = _spans(account, plan)
    gpu, wasm = manifest.targets.webgpu, manifest.targets.wasm
    try:
        if target == "webgpu":
            assert gpu is not None
            arenas = tuple(values(b) for b in gpu.variants[-1].entries[number].arenas)
            places = _places(gpu, number, account, values)
            there = {t: span for t, span in spans.items() if t not in _on_host(gpu, number, plan)}
            held = _memory(target, account, there, plan, values, arenas, places)
            return replace(held, beside=_beside(gpu, number))
        assert wasm is not None
        arenas = (max(values(wasm.entries[number].bytes) - _fixed_end(manifest, wasm), 0),)
        return _memory(target, account, spans, plan, values, arenas, {})
    except ExpressionError:
        return None


def _fixed_end(manifest: Manifest, wasm: Wasm) -> int:
    """Where weights and states end in Wasm memory."""
    ends = [w.address + manifest.weights.tensors[w.tensor].elements * w.dtype.bytes for w in wasm.weights]
    kept = zip(wasm.state, manifest.state, strict=True)
    ends += [address + math.prod(s.shape) * s.dtype.bytes for address, s in kept]
    return max(ends, default=WEIGHTS_BASE)


def _spans(account: Account, plan: Plan) -> dict[int, tuple[int, int]]:
    """First and last step of each tensor but states; what crosses a loop's end lives through all of it."""
    spans = dict.fromkeys(range(account.inputs), (-1, -1))
    for number, step in enumerate(plan.steps):
        touched = [*step.reads, *(() if step.writes is None else (step.writes,))]
        for tensor in touched:
            if tensor >= 0 and tensor not in account.states:
                spans[tensor] = (spans.get(tensor, (number, number))[0], number)
    for tensor in account.outputs:
        spans[tensor] = (spans.get(tensor, (-1, -1))[0], len(plan.steps))
    for begin, end in sorted(plan.loops, key=lambda loop: loop[1] - loop[0]):
        for tensor, (first, last) in spans.items():
            inside = begin <= first and last <= end
            if not inside and first <= end and last >= begin:
                spans[tensor] = (min(first, begin), max(last, end))
    return spans


def _on_host(gpu: WebGpu, number: int, plan: Plan) -> set[int]:
    """Tensors that steps on the CPU alone read and write."""
    touched: tuple[set[int], set[int]] = set(), set()
    for step in plan.steps:
        written = () if step.writes is None else (step.writes,)
        touched[step.name in host_steps(gpu, number)].update(step.reads, written)
    return touched[True] - touched[False]


def _beside(gpu: WebGpu, number: int) -> frozenset[str]:
    """Steps that bind more as written than what they write."""
    variant = gpu.variants[-1]
    several = [shader.bindings.count("read_write") > 1 for shader in variant.shaders]
    commands = variant.entries[number].commands
    return frozenset(c.step for c in commands if isinstance(c, Dispatch) and several[c.shader])


def _places(gpu: WebGpu, number: int, account: Account, values: Evaluator) -> dict[int, tuple[int, int, int]]:
    """Arena, offset and bytes of each tensor, from the bindings of the dispatches that write or read it."""
    entry = gpu.variants[-1].entries[number]
    found: dict[int, tuple[int, int, int]] = {}
    ends = [*range(account.inputs), *account.outputs]
    for tensor, place in zip(ends, [*entry.inputs, *entry.outputs], strict=True):
        if isinstance(place, GpuTensor):
            size = gpu_bytes(values(account.tensors[tensor].elements), place.dtype)
            found[tensor] = (place.arena, values(place.offset), size)
    for command in entry.commands:
        flow = account.flows.get(command.step) if isinstance(command, Dispatch) else None
        if flow is not None and isinstance(command, Dispatch) and command.bindings[-1].kind == "arena":
            written = command.bindings[-1]
            found.setdefault(flow.writes, (written.index, values(written.offset), values(written.bytes)))
    return found


def _memory(
    target: Target,
    account: Account,
    spans: Mapping[int, tuple[int, int]],
    plan: Plan,
    values: Evaluator,
    arenas: tuple[int, ...],
    places: Mapping[int, tuple[int, int, int]],
) -> Memory:
    lives = []
    for tensor, (first, last) in spans.items():
        held = account.tensors[tensor]
        elements, alignment = values(held.elements), WASM_ALIGNMENT
        size = elements * held.dtype.bytes
        arena, offset = None, None
        if target == "webgpu":
            arena, offset, size = places.get(tensor, (None, None, elements * WORD))
            size, alignment = max(size, LEAST_BINDING), ALIGNMENT
        lives.append(Life(tensor, -(-size // alignment) * alignment, first, last, arena, offset))
    live = [0] * len(plan.steps)
    for life in lives:
        for number in range(max(life.first, 0), min(life.last, len(live) - 1) + 1):
            live[number] += life.bytes
    return Memory(target, tuple(lives), tuple(live), arenas)
