"""The host steps of a WebGPU pack: a Wasm module with just these, and what crosses between it and the GPU.

A tensor that host steps alone touch lies in the module's memory. Any other lies on the GPU; where the host
reads or writes it, too, it has a place in that memory to which it is brought, whole, and from which it comes
back. Inputs are fed to either side that reads them, weights lie on both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pyruntime_wasm.kernels import kernel_for
from pyruntime_wasm.module import build_module

from pyruntime.errors import UnsupportedError
from pyruntime.ir.dims import Dim
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import KernelCall
from pyruntime.ir.program import Jump, Placement, Program, Read
from pyruntime.ir.rpn import to_rpn
from pyruntime.ir.views import Tensor
from pyruntime.pack.targets import Wasm, WasmEntry, WasmVariant, WasmWeight
from pyruntime.pack.writer import PackWriter
from pyruntime_converter.memory import Span, lifetimes, plan_single
from pyruntime_converter.targets.addresses import lay_out, pages

if TYPE_CHECKING:
    from pyruntime_converter.build import Stored
    from pyruntime_converter.state import PackStates

VARIANT = "simd"  # runs everywhere: what the host computes is seldom worth more


@dataclass(frozen=True)
class Run:
    """Host steps in a row, by their numbers in the program, and what crosses before and after them."""

    steps: Sequence[int]
    before: Sequence[Tensor]
    after: Sequence[Tensor]


@dataclass
class Sides:
    """Which side of a program touches what.

    Attributes:
        program: all of it.
        reasons: the steps that the host computes, and why.
        calls: these steps, in order.
        host: tensors that lie in the module's memory.
        gpu: tensors that lie on the GPU; weights are on either side that reads them.
        runs: by the number of their first step.
    """

    program: Program
    reasons: Mapping[int, UnsupportedError]
    calls: list[int] = field(init=False)
    host: set[Tensor] = field(init=False)
    gpu: set[Tensor] = field(init=False)
    runs: dict[int, Run] = field(init=False)

    def __post_init__(self) -> None:
        program = self.program
        numbered = [(n, s) for n, s in enumerate(program.steps) if isinstance(s, KernelCall)]
        self.calls = [n for n, _ in numbered if n in self.reasons]
        self.host = {t for n, c in numbered if n in self.reasons for t in c.tensors()}
        self.gpu = {t for n, c in numbered if n not in self.reasons for t in c.tensors()}
        self.gpu |= {s.initial for s in program.states if s.initial is not None}
        ends = [*program.inputs, *program.outputs, *(s.tensor for s in program.states)]
        ends += [s.tensor for s in program.steps if isinstance(s, Read)]
        for tensor in ends:
            if tensor.dtype is DType.F64:
                self.host.add(tensor)
            elif tensor not in self.host or tensor.kind == "state":
                self.gpu.add(tensor)
        self.runs = {r.steps[0]: r for r in self._runs()}

    @property
    def needed(self) -> bool:
        """Whether there is anything for the host."""
        return any(t.kind != "weight" for t in self.host)

    @property
    def own_symbols(self) -> list[str]:
        """What the module is told beside the entry's symbols."""
        return self.program.own_symbols if self.calls else []

    def _runs(self) -> Iterator[Run]:
        """Steps that follow each other with nothing between; none goes on past where a jump leads."""
        targets = {s.to for s in self.program.steps if isinstance(s, Jump)}
        spans = lifetimes(self.program)
        writers = Counter(c.output.tensor for c in self.program.calls)
        fresh: set[Tensor] = set()  # as in the module's memory, on the GPU
        run: list[int] = []
        for number, step in enumerate([*self.program.steps, None]):
            if run and (number not in self.reasons or number in targets):
                yield self._run(run, fresh, writers, spans)
                run = []
            if number in targets or isinstance(step, Jump):
                fresh.clear()
            if number in self.reasons:
                run.append(number)
            elif isinstance(step, KernelCall):
                fresh.discard(step.output.tensor)

    def _run(
        self, steps: list[int], fresh: set[Tensor], writers: Counter[Tensor], spans: Mapping[Tensor, Span]
    ) -> Run:
        calls = [self.program.steps[n] for n in steps]
        read: dict[Tensor, None] = {}
        written: dict[Tensor, None] = {}
        for call in calls:
            assert isinstance(call, KernelCall)
            *sources, target = call.tensors()
            # of what others write, too, a call may write a part
            partly = [target] if writers[target] > 1 or target.kind == "state" else []
            read |= dict.fromkeys(t for t in (*sources, *partly) if t not in written)
            written[target] = None
        # while a tensor does not live, its place is another's; states always do
        always = (-1, len(self.program.steps))
        born = {t for t in read if spans.get(t, always)[0] <= steps[0]}
        kept = {t for t in written if spans.get(t, always)[1] > steps[-1]}
        before = [t for t in read if t in born and self._crosses(t) and t not in fresh]
        after = [t for t in written if t in kept and self._crosses(t)]
        fresh.update(before, after)
        return Run(steps, before, after)

    def _crosses(self, tensor: Tensor) -> bool:
        return tensor in self.gpu and tensor.kind not in ("weight", "input")

    def part(self) -> Program:
        """The host steps as a program, to which all symbols are told."""
        program, own = self.program, self.own_symbols
        steps = [program.steps[n] for n in self.calls]
        symbols = [*program.symbols, *own]
        return Program(program.name, symbols, [], [], [*steps], others=program.others + len(own))


@dataclass(frozen=True)
class HostPart:
    """The module, and where each program's tensors lie in its memory."""

    target: Wasm
    places: Sequence[Mapping[Tensor, Dim]]


def check_states(sides: Sequence[Sides]) -> None:
    """Raise UnsupportedError for a state that the GPU cannot keep."""
    for side in sides:
        for state in (s.tensor for s in side.program.states):
            if state.dtype is DType.F64:
                reason = f"WebGPU has no {state.dtype!r}"
                raise UnsupportedError("state", state.name, reason, 'Leave "webgpu" out of the targets.')


def build(
    sides: Sequence[Sides],
    stored: Sequence[Stored],
    states: PackStates,
    pack: PackWriter,
    compiler: str | None,
) -> HostPart | None:
    """Compile the host steps of all entries; None where there are none. Raises CompilerError."""
    if not any(s.needed for s in sides):
        return None
    weights = [s for s in stored if any(s.tensor in side.host for side in sides)]
    numbers = {states.number[t] for side in sides for t in side.host if t in states.number}
    kept = [states.states[n].tensor for n in sorted(numbers)]
    addresses, end = lay_out([*(s.tensor for s in weights), *kept])
    numbered = {states.number[t]: addresses[t] for t in kept}
    fixed = addresses | {t: numbered[n] for t, n in states.number.items() if n in numbered}
    placed = [_placed(side, fixed, end) for side in sides]
    parts = [
        (s.part(), replace(p, scratch=[p.scratch[n] for n in s.calls]))
        for s, p in zip(sides, placed, strict=True)
    ]
    written = pack.add_file("host.wasm", build_module(parts, variants=[VARIANT], compiler=compiler)[VARIANT])
    target = Wasm(
        abi=1,
        pointer_bits=32,
        initial_pages=pages(end),
        weights=[WasmWeight(s.index, addresses[s.tensor], s.tensor.dtype) for s in weights],
        entries=[
            WasmEntry(to_rpn(m.arena_bytes[0]), [s.name for s in p.steps], symbols=tuple(p.symbols))
            for p, m in parts
        ],
        variants=[WasmVariant((), written.file, written.bytes, written.sha256)],
    )
    return HostPart(target, [p.offsets for p in placed])


def _placed(side: Sides, fixed: Mapping[Tensor, int], end: int) -> Placement:
    computed = {side.program.steps[n].name for n in side.calls}

    def scratch(call: KernelCall) -> Dim:
        return kernel_for(call).scratch(call) if call.name in computed else 0

    return plan_single(side.program, base=end, fixed=fixed, scratch=scratch, held=side.host)
