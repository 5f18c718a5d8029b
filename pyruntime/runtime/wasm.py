"""Sessions on Wasm, through wasmtime."""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import math
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from pyruntime.errors import DeviceError, MemoryLimitError, PackError, PackVersionError, RunError
from pyruntime.pack.expressions import Evaluator
from pyruntime.pack.program import bound_shape, told
from pyruntime.pack.program import size as size_of
from pyruntime.pack.schema import Entry, Manifest
from pyruntime.pack.targets import ABI, Wasm, WasmVariant
from pyruntime.runtime.assets import Assets
from pyruntime.runtime.bind import Bound
from pyruntime.runtime.session import Session, SessionReport
from pyruntime.runtime.state import KeptState
from pyruntime.runtime.tensors import Tensor
from pyruntime.runtime.wasm_memory import ADDRESSES, PAGE, PrivateMemory, SharedMemory

if TYPE_CHECKING:
    import wasmtime

    from pyruntime.pack.reader import Pack
    from pyruntime.runtime.wasm_team import Team

_MOST_STEPS = 1 << 16  # looked at one by one for the one that fails
TAIL = 64  # bytes after the last weight that vector loads may read

# a module with what is in question: valid where the engine has the feature
PROBES = {
    # a function of one instruction
    "relaxed-simd": bytes.fromhex(
        "0061736d01000000 0108016003 7b7b7b 017b 03020100 0a0d010b00 2000 2001 2002 fd8502 0b"
    ),
    # env.memory, shared
    "threads": bytes.fromhex("0061736d01000000 0210 01 03656e76 066d656d6f7279 02030101"),
}
# exports of ABI 1: parameters and result
_EXPORTS = {
    "abi": ((), "i32"),
    "dims": (("i32",), "i32"),
    "plan": (("i32",), "i32"),
    "bytes": (("i32",), "i64"),
    "input": (("i32", "i32"), "i32"),
    "output": (("i32", "i32"), "i32"),
    "output_dim": (("i32", "i32", "i32"), "i64"),
    "steps": (("i32",), "i32"),
    "run": (("i32", "i32", "i32"), "i32"),
}
# of variants with threads, too
_TEAM_EXPORTS = {"threads": (("i32",), "i32"), "worker": (("i32",), "i32"), "stop": ((), "")}
# that older packs lack
_LATER_EXPORTS = {"tune": (("i32",), "")}
_STOPPED = -6  # what `run` gives after a helper has failed
_ENDLESS = -8  # what `run` gives after more jumps than any loop needs
_MODULES_KEPT = 8
_modules: OrderedDict[str, wasmtime.Module] = OrderedDict()  # compiled modules by hash
_modules_lock = threading.Lock()


@atexit.register
def _forget() -> None:
    """Free what is cached while wasmtime can still do so: interpreters take modules apart in any order."""
    _modules.clear()
    engine.cache_clear()


def unavailable() -> str:
    """Why there is no Wasm engine here; empty when there is one."""
    if importlib.util.find_spec("wasmtime") is None:
        return "wasmtime is not installed: pip install pyruntime[wasm]"
    return ""


@functools.cache
def engine() -> wasmtime.Engine:
    """The engine of all modules of this process."""
    import wasmtime

    config = wasmtime.Config()
    config.wasm_threads = True
    config.shared_memory = True
    with contextlib.suppress(wasmtime.WasmtimeError):  # without a folder to write to, every process compiles
        config.cache = True  # wasmtime's own, in the user's cache folder, which it keeps small
    return wasmtime.Engine(config)


@functools.cache
def _has(feature: str) -> bool:
    """Whether the engine has a feature that a variant may require."""
    import wasmtime

    try:
        wasmtime.Module.validate(engine(), PROBES[feature])
    except (KeyError, wasmtime.WasmtimeError):
        return False
    return True


@dataclass
class _Plan:
    """Addresses and shapes that hold while an entry's symbols keep their values."""

    symbols: dict[str, int]
    inputs: list[int]
    outputs: list[int]
    shapes: list[tuple[int, ...]] | None  # of the outputs; None where each run has its own
    verified: bool = False  # the module told the same output shapes


class WasmSession(Session):
    """A pack's Wasm module with its memory.

    Raises:
        DeviceError: wasmtime is not installed, or the pack has no Wasm target.
        PackError: the module is not what the pack says.
        MemoryLimitError: the weights do not fit.
    """

    def __init__(self, pack: Pack, entry: str | None, reason: str, threads: int | None = None) -> None:
        kept = KeptState(pack.manifest.state, pack.manifest.model.sha256)
        super().__init__(pack.manifest.entries, Assets(pack), kept, entry)
        target = pack.manifest.targets.wasm
        if target is None:
            raise DeviceError(f"{pack.path} was not converted for wasm")
        if problem := unavailable():
            raise DeviceError(problem)
        import wasmtime

        self._target: Wasm = target
        self._threads, why = _thread_count(target, threads)
        variant = next(
            v
            for v in target.variants
            if all(map(_has, v.requires)) and (self._threads > 1 or "threads" not in v.requires)
        )
        self._module = compiled(variant, pack.read(variant))
        check_module(self._module, variant.file, target, shared=self._threads > 1)
        self._team: Team | None = None
        self._store = wasmtime.Store(engine())
        spans = weight_spans(pack.manifest, target)
        try:
            self._memory: PrivateMemory | SharedMemory = (
                SharedMemory(engine(), target.initial_pages)
                if self._threads > 1
                else PrivateMemory(self._store, target.initial_pages)
            )
        except wasmtime.WasmtimeError as error:
            raise MemoryLimitError(f"no memory of {target.initial_pages * PAGE} bytes: {error}") from None
        self._states = [
            (address, math.prod(s.shape) * s.dtype.bytes)
            for address, s in zip(target.state, pack.manifest.state, strict=True)
        ]
        held = [address + size + TAIL for address, size in [*spans, *self._states]]
        self._grow(max(held, default=0), "the weights")
        self._instantiate()
        write_weights(pack, target, self._bytes())
        self._reset_states()
        self._broken = False
        steps = tuple(target.entries[self._entry].steps)
        self.report = SessionReport(
            device="wasm",
            reason=reason,
            engine=f"wasmtime {version('wasmtime')}",
            variant=tuple(variant.requires),
            dispatches=0,
            host_steps=0,
            steps=steps,
            weights_bytes=sum(size for _, size in spans),
            memory_bytes=self._memory.size,
            threads=self._threads,
            threads_reason=why,
        )

    def _instantiate(self, *, alone: bool = False) -> None:
        """A new instance, and new helpers unless it is to run alone."""
        import wasmtime

        self._end_team()
        try:
            instance = wasmtime.Instance(self._store, self._module, [self._memory.extern])
            self._exports = instance.exports(self._store)
            abi = self._call("abi")
            if any(e.name == "tune" for e in self._module.exports):
                self._call("tune", 1)  # Cranelift splats what it loads in three instructions
            if isinstance(self._memory, SharedMemory):
                from pyruntime.runtime.wasm_team import Team

                self._call("threads", 1 if alone else self._threads)
                if not alone:
                    self._team = Team(engine(), self._module, self._memory.extern, self._threads)
        except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
            raise PackError(f"the Wasm module cannot be started: {error}") from None
        check_abi(abi)
        self._plans: dict[int, _Plan] = {}

    def _call(self, name: str, *arguments: int) -> int:
        result: int = self._exports[name](self._store, *arguments)  # type: ignore[operator]  # checked: a function
        return result

    def _address(self, name: str, *arguments: int) -> int:
        return self._call(name, *arguments) & (ADDRESSES - 1)

    def _bytes(self) -> memoryview:
        """The memory as it is now; growth makes this stale."""
        return self._memory.view()

    def _grow(self, size: int, what: str) -> None:
        grow(self._memory, size, what)

    def _plan(self, number: int, entry: Entry, bound: Bound) -> _Plan:
        known = self._plans.get(number)
        if known is not None and known.symbols == bound.symbols:
            return known
        values = Evaluator(bound.symbols)
        shapes = None if entry.sizes else [bound_shape(s, values) for s in entry.outputs]
        if entry.symbols:
            start = self._address("dims", number)
            packed = b"".join(v.to_bytes(8, "little", signed=True) for v in bound.symbols.values())
            self._span(start, len(packed))[:] = packed
        self._plans.pop(number, None)
        steps = len(self._target.entries[number].steps)
        if self._call("steps", number) != steps:
            raise PackError(f"the Wasm module does not have the {steps} steps of entry {entry.name!r}")
        code = self._call("plan", number)
        if code < 0:
            raise MemoryLimitError(f"the program cannot be laid out for {told(bound.symbols)} (code {code})")
        size = self._call("bytes", number)
        if size < 0:
            raise PackError(f"the Wasm module wants {size} bytes for {told(bound.symbols)}")
        full, target = Evaluator(self._kept.full(entry, bound.symbols)), self._target.entries[number]
        extra = size_of(target.thread_bytes, full) * (self.report.threads - 1)
        size = max(size, size_of(target.bytes, full) + extra)
        self._grow(size, f"sizes {told(bound.symbols)}")
        plan = _Plan(
            dict(bound.symbols),
            [self._address("input", number, i) for i in range(len(entry.inputs))],
            [self._address("output", number, i) for i in range(len(entry.outputs))],
            shapes,
        )
        self._plans[number] = plan
        return plan

    def _span(self, address: int, size: int) -> memoryview:
        """Writable bytes of the memory. Raises PackError where the module named a place outside it."""
        memory = self._bytes()
        if address + size > len(memory):
            raise PackError(f"the Wasm module names bytes {address} to {address + size} of {len(memory)}")
        return memory[address : address + size]

    def _execute(self, number: int, entry: Entry, bound: Bound) -> Sequence[Tensor]:
        import wasmtime

        if self._broken:  # a trap leaves the module's stack as it was
            self._instantiate()
            self._broken = False
        try:
            plan = self._start(number, entry, bound)
            code = self._run(number)
            outputs = self._outputs(number, entry, plan) if code >= 0 else []
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            self._broken = True
            raise RunError(f"{self._failing_step(number, entry, bound)}: {first_line(error)}") from None
        if code == _STOPPED and self._team is not None:
            self._broken = True
            causes = ", ".join(map(first_line, self._team.errors)) or "it does not come back"
            raise RunError(f"{self._failing_step(number, entry, bound)}: a helper thread ended: {causes}")
        if code == _ENDLESS:
            raise RunError(f"entry {entry.name!r}: a loop does not end")
        if code < 0:
            raise RunError(f"{self._failing_step(number, entry, bound)}: code {code}")
        self.report.memory_bytes = len(self._bytes())
        return outputs

    def _run(self, number: int) -> int:
        """All steps; those that overwrite a state when the others are done."""
        steps, commit = len(self._target.entries[number].steps), self._commit(number)
        code = self._call("run", number, 0, commit)
        if code >= 0 and commit < steps:
            self._committed = True
            code = self._call("run", number, code, steps)
        return code

    def _commit(self, number: int) -> int:
        """The first step that overwrites a state, or one past the last."""
        target = self._target.entries[number]
        return len(target.steps) if target.commit is None else target.commit

    def _start(self, number: int, entry: Entry, bound: Bound) -> _Plan:
        """Plan, and write the inputs."""
        plan = self._plan(number, entry, bound)
        for address, tensor in zip(plan.inputs, bound.inputs, strict=True):
            self._span(address, len(tensor.data))[:] = tensor.data
        return plan

    def _outputs(self, number: int, entry: Entry, plan: _Plan) -> list[Tensor]:
        """Copies of what a run has made."""
        return [
            Tensor(
                memoryview(bytearray(self._span(address, math.prod(shape) * spec.dtype.bytes))),
                shape,
                spec.dtype.value,
            )
            for address, shape, spec in zip(
                plan.outputs, self._shapes(number, entry, plan), entry.outputs, strict=True
            )
        ]

    def _shapes(self, number: int, entry: Entry, plan: _Plan) -> list[tuple[int, ...]]:
        """The outputs' shapes, as the module tells them too: once, or after each run where data decide."""
        if plan.shapes is not None and plan.verified:
            return plan.shapes
        made = []
        for i, spec in enumerate(entry.outputs):
            shape = tuple(self._call("output_dim", number, i, axis) for axis in range(len(spec.shape)))
            stated = shape if plan.shapes is None else plan.shapes[i]
            if shape != stated or min(shape, default=0) < 0:
                raise PackError(f"the Wasm module made output {i} of shape {shape}; pack.json says {stated}")
            made.append(shape)
        plan.verified = True
        return made

    def _failing_step(self, number: int, entry: Entry, bound: Bound) -> str:
        """Run again step by step, to name the one that fails; states that are whole stay so."""
        import wasmtime

        self._broken = True
        steps = self._target.entries[number].steps
        last = len(steps) if self._committed else self._commit(number)
        step = after = 0
        try:
            self._instantiate(alone=True)
            self._start(number, entry, bound)
            for _ in range(_MOST_STEPS):
                after = self._call("run", number, step, step + 1)
                if not 0 <= after < last:
                    break
                step = after
            if after >= 0:
                return f"entry {entry.name!r} failed"
        except (wasmtime.Trap, wasmtime.WasmtimeError):
            pass
        return f"step {step} {steps[step]!r} failed" if steps else f"entry {entry.name!r} failed"

    def _read_state(self, number: int) -> memoryview:
        return memoryview(bytearray(self._span(*self._states[number])))

    def _write_states(self, states: Mapping[int, memoryview]) -> None:
        for number, data in states.items():
            self._span(*self._states[number])[:] = data

    def _reset_states(self) -> None:
        initial = {w.tensor: w.address for w in self._target.weights}
        for state, (address, size) in zip(self._kept.states, self._states, strict=True):
            begin = state.initial
            self._span(address, size)[:] = bytes(size) if begin is None else self._span(initial[begin], size)

    def _end_team(self) -> None:
        if self._team is not None:
            self._team.end()
            self._team = None

    def _release(self) -> None:
        self._end_team()
        self._store.close()


def check_abi(abi: int) -> None:
    """Raise PackVersionError for a module of another ABI."""
    if abi != ABI:
        raise PackVersionError(f"the Wasm module has ABI {abi}; this version of pyruntime knows {ABI}")


def grow(memory: PrivateMemory | SharedMemory, size: int, what: str) -> None:
    """Make a memory at least so large. Raises MemoryLimitError that says for what it cannot be."""
    import wasmtime

    missing = size - memory.size
    if size > ADDRESSES:
        raise MemoryLimitError(f"{what} need {size} bytes of memory; Wasm has {ADDRESSES}")
    if missing > 0:
        try:
            memory.grow(math.ceil(missing / PAGE))
        except wasmtime.WasmtimeError:
            raise MemoryLimitError(f"{what} need {size} bytes of memory, and cannot have them") from None


def weight_spans(manifest: Manifest, target: Wasm) -> list[tuple[int, int]]:
    """Address and bytes of each weight in memory."""
    tensors = manifest.weights.tensors
    return [(w.address, tensors[w.tensor].elements * w.dtype.bytes) for w in target.weights]


def write_weights(pack: Pack, target: Wasm, memory: memoryview, base: int = 0) -> None:
    """Put the weights where they belong in a memory whose first byte has address `base`."""
    places = {w.tensor: w for w in target.weights}
    tensors = pack.manifest.weights.tensors
    for index, first, data in pack.tensors(places):
        place, stored = places[index], tensors[index].dtype
        start = place.address - base + first * place.dtype.bytes
        if stored is place.dtype:
            memory[start : start + len(data)] = data
        else:
            import numpy as np

            elements = np.frombuffer(data, stored.value)
            part = memory[start : start + len(elements) * place.dtype.bytes]
            np.frombuffer(part, place.dtype.value)[:] = elements


def _thread_count(target: Wasm, asked: int | None) -> tuple[int, str]:
    """How many threads to run a pack with, and why. Raises DeviceError for a number that cannot be."""
    from pyruntime.runtime.wasm_team import LARGEST, usual_threads

    if asked is not None and not 1 <= asked <= LARGEST:
        raise DeviceError(f"there can be 1 to {LARGEST} threads, not {asked}")
    if asked == 1:
        return 1, "asked for"
    if not any("threads" in v.requires for v in target.variants):
        return 1, "the pack has no steps that are worth sharing"
    if not _has("threads"):
        return 1, "this version of wasmtime has no shared memory"
    return (asked, "asked for") if asked is not None else usual_threads()


def compiled(variant: WasmVariant, code: bytes) -> wasmtime.Module:
    """The compiled module, from the last few of this process where it is among them. Raises PackError."""
    import wasmtime

    with _modules_lock:
        module = _modules.pop(variant.sha256, None)
    if module is None:
        try:
            module = wasmtime.Module(engine(), code)
        except wasmtime.WasmtimeError as error:
            raise PackError(f"{variant.file} is not a valid module: {first_line(error)}") from None
    with _modules_lock:
        _modules[variant.sha256] = module
        while len(_modules) > _MODULES_KEPT:
            _modules.popitem(last=False)
    return module


def check_module(module: wasmtime.Module, file: str, target: Wasm, *, shared: bool) -> None:
    """Raise PackError unless the module imports env.memory alone, shared or not, and exports ABI 1."""
    import wasmtime

    imports = [(i.module, i.name) for i in module.imports]
    if imports != [("env", "memory")] or not isinstance(module.imports[0].type, wasmtime.MemoryType):
        raise PackError(f"{file} imports {imports or 'nothing'}; a pack's module imports env.memory alone")
    if module.imports[0].type.is_shared != shared:
        raise PackError(f"{file} {'does not import' if shared else 'imports'} a shared memory")
    least = module.imports[0].type.limits.min
    if least > target.initial_pages:
        raise PackError(f"{file} wants {least} pages at first; pack.json says {target.initial_pages}")
    exports = {e.name: e.type for e in module.exports}
    later = {name: kind for name, kind in _LATER_EXPORTS.items() if name in exports}
    for name, (parameters, result) in {**_EXPORTS, **(_TEAM_EXPORTS if shared else {}), **later}.items():
        kind = exports.get(name)
        if not isinstance(kind, wasmtime.FuncType):
            raise PackError(f"{file} does not export the function {name!r}")
        if (tuple(map(str, kind.params)), "".join(map(str, kind.results))) != (parameters, result):
            raise PackError(f"{file} exports {name!r} with other parameters than ABI {ABI}")


def first_line(error: BaseException) -> str:
    """What went wrong, without the backtrace of nameless functions."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line for line in lines if "wasm trap:" in line]
    return causes[0][causes[0].index("wasm trap:") :] if causes else lines[0] if lines else "failed"
