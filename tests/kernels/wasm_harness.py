"""Runs kernel cases under wasmtime, a list of them in one module, and compares with the reference."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pyruntime_wasm.kernels import kernel_for
from pyruntime_wasm.module import GRAIN, WEIGHTS_BASE, build_module

from pyruntime.ir.dims import Dim, align
from pyruntime.ir.kernel import KernelCall
from pyruntime.ir.program import Placement, Program
from pyruntime.ir.symbols import evaluate
from pyruntime.ir.views import Tensor
from pyruntime.ops.interpret import allocate, run_call
from pyruntime.runtime.wasm import engine as _engine
from pyruntime.runtime.wasm_memory import PrivateMemory, SharedMemory
from tests.kernels.case import Case

if TYPE_CHECKING:
    import wasmtime

    from pyruntime.runtime.wasm_team import Team

Array = NDArray[Any]

VARIANTS = ("relaxed", "simd")
TEAM = 3  # threads of the variants that share a memory
# relative to the largest magnitude of what the reference writes
TOLERANCE = {"float16": 2e-3, "float32": 2e-5, "float64": 1e-12}
_GAP, _CANARY = 64, 0xA5


def program_of(case: Case) -> tuple[Program, Placement]:
    """A program of the case's one call, its tensors one after another with gaps between."""
    offsets: dict[Tensor, Dim] = {}
    end: Dim = WEIGHTS_BASE + _GAP
    for tensor in case.call.tensors():
        offsets[tensor] = end
        end = align(end + tensor.elements * tensor.dtype.bytes, _GAP) + _GAP
    scratch = end
    end = end + align(kernel_for(case.call).scratch(case.call), _GAP) + _GAP
    program = Program(case.name, sorted(case.symbols), [], [case.call.output.tensor], [case.call])
    return program, Placement(offsets, [scratch], [end])


@dataclass
class Suite:
    """The modules of a list of cases: entry i is case i."""

    cases: Sequence[Case]
    modules: Mapping[str, bytes]
    _expected: dict[int, Array] = field(default_factory=dict)  # what cases write, by entry

    @functools.cached_property
    def _instances(self) -> dict[str, _Instance]:
        engine = _engine()  # of sessions: it has what threads need
        return {variant: _Instance(engine, data) for variant, data in self.modules.items()}

    def tune(self, variant: str, *, slow_splats: bool) -> None:
        """Tell a module of what its engine is slow at, for the runs that follow."""
        self._instances[variant].tune(slow_splats)

    def run(self, case: Case, variant: str, threads: int = 1) -> tuple[Array, Array]:
        """What the case's call writes: by this variant, cut for so many threads, and by the reference."""
        entry = next(i for i, c in enumerate(self.cases) if c is case)
        actual = {t: a.ravel().copy() for t, a in case.inputs.items()}
        for tensor in case.call.tensors():
            actual.setdefault(tensor, allocate(tensor, case.symbols))
        written = case.call.output.tensor
        if entry not in self._expected:
            expected = {t: a.copy() for t, a in actual.items()}
            run_call(case.call, expected, case.symbols)
            self._expected[entry] = expected[written]
        self._instances[variant].run(entry, case, actual, threads)
        return actual[written], self._expected[entry]


def build(cases: Sequence[Case], variants: Sequence[str] = VARIANTS, grain: int = GRAIN) -> Suite:
    """Compile all cases to one module per variant; `grain` is the least work of a part."""
    return Suite(cases, build_module([program_of(c) for c in cases], variants, grain=grain))


class _Instance:
    """A module in wasmtime with a memory of its own, and helpers if that can be shared."""

    def __init__(self, engine: wasmtime.Engine, data: bytes) -> None:
        import wasmtime

        self.store = wasmtime.Store(engine)
        module = wasmtime.Module(engine, data)
        kind = module.imports[0].type
        assert isinstance(kind, wasmtime.MemoryType)
        pages = kind.limits.min
        self.memory = SharedMemory(engine, pages) if kind.is_shared else PrivateMemory(self.store, pages)
        self.exports = wasmtime.Instance(self.store, module, [self.memory.extern]).exports(self.store)
        self.team: Team | None = None
        if isinstance(self.memory, SharedMemory):
            from pyruntime.runtime.wasm_team import Team

            assert self.call("threads", TEAM) == 0
            self.team = Team(engine, module, self.memory.extern, TEAM)

    def call(self, name: str, *arguments: int) -> int:
        """Call an export."""
        import wasmtime

        function = self.exports[name]
        assert isinstance(function, wasmtime.Func)
        return int(function(self.store, *arguments))

    def tune(self, slow_splats: bool) -> None:
        """Call the export `tune`, which gives nothing."""
        import wasmtime

        function = self.exports["tune"]
        assert isinstance(function, wasmtime.Func)
        function(self.store, int(slow_splats))

    def _write(self, address: int, array: Array) -> None:
        self.memory.view()[address : address + array.nbytes] = array.tobytes()

    def run(self, entry: int, case: Case, tensors: dict[Tensor, Array], threads: int = 1) -> None:
        """Run a case on these elements; the written tensor's change.

        With `threads` a step is cut as for so many; all its parts are run here, unless there is a team.

        Raises:
            AssertionError: the call wrote outside the tensor that it should write to.
        """
        symbols = case.symbols
        dims = np.array([symbols[s] for s in sorted(symbols)], np.int64)
        self._write(self.call("dims", entry), dims)
        if self.team:
            threads = TEAM
        else:
            assert self.call("threads", threads) == 0
        assert self.call("plan", entry) == 0
        _, placement = program_of(case)
        end = evaluate(placement.arena_bytes[0], symbols)
        size = self.call("bytes", entry)
        assert size == end if threads == 1 else size >= end
        missing = size - self.memory.size
        if missing > 0:
            self.memory.grow(-(-missing // 65536))
        arena = np.full(end - WEIGHTS_BASE, _CANARY, np.uint8)
        places = {t: evaluate(placement.offsets[t], symbols) - WEIGHTS_BASE for t in tensors}
        for tensor, array in tensors.items():
            arena[places[tensor] : places[tensor] + array.nbytes] = np.frombuffer(array.tobytes(), np.uint8)
        self._write(WEIGHTS_BASE, arena)
        written = case.call.output.tensor
        assert self.call("output", entry, 0) == places[written] + WEIGHTS_BASE
        steps = self.call("steps", entry)
        assert self.call("run", entry, 0, steps) == steps
        after = np.frombuffer(self.memory.view(), np.uint8)[WEIGHTS_BASE:end].copy()
        begin, size = places[written], tensors[written].nbytes
        tensors[written] = after[begin : begin + size].copy().view(tensors[written].dtype)
        after[begin : begin + size] = arena[begin : begin + size]
        scratch = evaluate(placement.scratch[0], symbols) - WEIGHTS_BASE
        needed = evaluate(kernel_for(case.call).scratch(case.call), symbols)
        after[scratch : scratch + needed] = _CANARY
        changed = np.flatnonzero(after != arena)
        assert not changed.size, f"{case.name}: wrote to {changed[:8]}, output at {begin}, {size} bytes"


def compare(call: KernelCall, actual: Array, expected: Array, tolerance: float | None = None) -> None:
    """Equal integers; floats within the tolerance, NaN and infinities in the same places."""
    dtype = call.output.tensor.dtype
    if not dtype.is_float:
        np.testing.assert_array_equal(actual, expected, err_msg=call.name)
        return
    finite = np.abs(expected[np.isfinite(expected)].astype(np.float64))
    scale = max(float(finite.max(initial=0.0)), 1e-6)
    limit = (TOLERANCE[dtype.value] if tolerance is None else tolerance) * scale
    np.testing.assert_allclose(
        actual.astype(np.float64), expected.astype(np.float64), rtol=0, atol=limit, err_msg=call.name
    )
