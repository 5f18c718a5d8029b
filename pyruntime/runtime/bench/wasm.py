"""Times a session on Wasm step by step, and the limits' loops beside it, in the same engine."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

import wasmtime

from pyruntime.errors import RunError
from pyruntime.runtime.bench import loops
from pyruntime.runtime.bench.profile import (
    Budget,
    Profile,
    Progress,
    Samples,
    limits_of,
    profile_of,
)
from pyruntime.runtime.wasm import WasmSession

EMPTY = 4  # calls of nothing in a round, which tell what a call takes by itself
WARM_UP = 2  # rounds that count for nothing: caches, pages of memory, clock rates


def profile(session: WasmSession, feeds: Mapping[str, Any], budget: Budget, progress: Progress) -> Profile:
    """Whole runs and runs step by step in turns, each step once a round; see `native.measure`."""
    report = session.report
    relaxed = "relaxed-simd" in report.variant
    number, entry = session._find(None)
    with session.using(), _Loops(report.threads, relaxed) as measured:
        bound = session._kept.bind(entry, feeds)
        session._execute(number, entry, bound)  # checks everything, and names a step that fails
        names = session._target.entries[number].steps
        call = _Run(session, number)

        def prepare() -> None:
            session._reset_states()
            session._start(number, entry, bound)

        samples, rounds, began = Samples(), -WARM_UP, 0.0
        while rounds < 0 or budget.spent(rounds, time.perf_counter() - began) < 1:
            if rounds == 0:
                samples, began = Samples(), time.perf_counter()
            prepare()
            empty = _empty(call)
            start = time.perf_counter()
            call(0, len(names))
            samples.whole.append(time.perf_counter() - start - min(empty))
            prepare()
            samples.empty += _empty(call)
            samples.add_steps(_stepwise(call, names))
            measured.sample(samples)
            rounds += 1
            progress(budget.spent(max(rounds, 0), time.perf_counter() - began) if rounds > 0 else 0.0)
        session._reset_states()
    return profile_of(
        samples,
        entry.costs,
        limits_of(samples, loops.kind(relaxed=relaxed)),
        device="wasm",
        place="native",
        engine=report.engine,
        threads=report.threads,
        variant=report.variant,
        symbols=bound.symbols,
    )


class _Run:
    """The module's `run` for one entry, without what wasmtime's own way to call does each time.

    That takes 15 to 50 microseconds, more than many a step; this takes 3.
    """

    def __init__(self, session: WasmSession, number: int) -> None:
        ffi = wasmtime._ffi
        function = session._exports["run"]
        assert isinstance(function, wasmtime.Func)
        self._session = session
        self._arguments, self._result = (ffi.wasmtime_val_t * 3)(), (ffi.wasmtime_val_t * 1)()
        for argument in self._arguments:
            argument.kind = ffi.WASMTIME_I32
        self._arguments[0].of.i32 = number
        self._trap = ctypes.POINTER(ffi.wasm_trap_t)()
        self._call = ffi.wasmtime_func_call
        self._given = (session._store._context(), ctypes.byref(function._func), self._arguments, 3)
        self._taken = (self._result, 1, ctypes.byref(self._trap))

    def __call__(self, first: int, last: int) -> int:
        """The step after those from first to last. Raises RunError."""
        self._arguments[1].of.i32, self._arguments[2].of.i32 = first, last
        problem = self._call(*self._given, *self._taken)
        after: int = self._result[0].of.i32
        failed, trapped = bool(problem), bool(self._trap)  # pointers: whether they point anywhere
        if failed or trapped or after < 0:
            self._session._broken = True
            told = f"code {after}"
            if failed:
                told = str(wasmtime.WasmtimeError._from_ptr(problem))
            elif trapped:
                told = str(wasmtime.Trap._from_ptr(self._trap))
            raise RunError(f"step {first} failed: {told}")
        return after


def _empty(call: Callable[[int, int], int]) -> list[float]:
    """Seconds of calls that do nothing."""
    found = []
    for _ in range(EMPTY):
        start = time.perf_counter()
        call(0, 0)
        found.append(time.perf_counter() - start)
    return found


def _stepwise(call: Callable[[int, int], int], names: Sequence[str]) -> list[tuple[str, float]]:
    """One run: each step that it comes by, and its seconds, in order; jumps lead where they lead."""
    clock, taken, step = time.perf_counter, [], 0
    while step < len(names):
        start = clock()
        after = call(step, step + 1)
        taken.append((names[step], clock() - start))
        step = after
    return taken


class _Loops:
    """The limits' loops, an instance for each thread."""

    def __init__(self, threads: int, relaxed: bool) -> None:
        self._relaxed = relaxed
        self._pool = ThreadPoolExecutor(threads)
        engine = wasmtime.Engine()
        module = wasmtime.Module(engine, loops.module(loops.PAGES, relaxed=relaxed))
        stores = [wasmtime.Store(engine) for _ in range(threads)]
        self._members = [(s, wasmtime.Instance(s, module, []).exports(s)) for s in stores]

    def __enter__(self) -> _Loops:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()
        for store, _ in self._members:
            store.close()

    def sample(self, samples: Samples) -> None:
        """One measurement of each loop."""
        for name, rates in (("multiply_adds", samples.multiply_adds), ("dots", samples.dots)):
            rounds = loops.ROUNDS[name]
            work = rounds * loops.operations(name, relaxed=self._relaxed)
            rates.append(self._rate(name, (rounds, 0.5 if name == "multiply_adds" else 1), work))
        for moved, times in loops.COPIES.items():
            rate = self._rate("copy", (moved // 2, times), moved * times)
            samples.copies.setdefault(moved, []).append(rate)

    def _rate(self, name: str, arguments: tuple[float, ...], work: int) -> float:
        """Work a second of all threads together."""

        def one(member: tuple[wasmtime.Store, Any]) -> float:
            store, exports = member
            start = time.perf_counter()
            exports[name](store, *arguments)
            return work / (time.perf_counter() - start)

        return sum(self._pool.map(one, self._members)) if len(self._members) > 1 else one(self._members[0])
