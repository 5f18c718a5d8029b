"""Sessions in a web page: Python's interface and checks, over a session of the JavaScript runtime."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import js
from pyodide.ffi import JsProxy, can_run_sync, run_sync

from pyruntime.errors import DeviceError, InputError
from pyruntime.pack.decode import array, record
from pyruntime.pack.schema import Entry, State
from pyruntime.runtime.bind import Bound
from pyruntime.runtime.session import Session, SessionReport, name_outputs
from pyruntime.runtime.state import KeptState
from pyruntime.runtime.tensors import Tensor
from pyruntime.runtime.web.javascript import check_blocking, find_runtime, options, settle
from pyruntime.runtime.web.state import WebState

Progress = Callable[[int, int], object]


class WebAssets(Mapping[str, bytes]):
    """The files that travel with a model; getting one waits for it, or raises BlockingError."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._names = tuple(inner.assets)

    def __getitem__(self, name: str) -> bytes:
        if name not in self._names:
            raise KeyError(name)
        check_blocking(f"session.asset_async({name!r})")
        content: bytes = run_sync(read_asset(self._inner, name))
        return content

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


async def read_asset(inner: Any, name: str) -> bytes:
    """The bytes of an asset of a JavaScript session."""
    content = await settle(lambda signal: inner.asset(name, options(signal=signal)))
    data: bytes = content.to_bytes()
    return data


class WebSession(Session):
    """A session of the JavaScript runtime. A run copies each input once into it, and each output once out.

    Args:
        inner: the JavaScript session, which this one owns.
        entry: the entry that it was loaded for; None for the first.
    """

    def __init__(self, inner: Any, entry: str | None) -> None:
        programs = json.loads(inner.programs)
        entries, states = array(record(Entry))(programs["entries"]), array(record(State))(programs["state"])
        super().__init__(entries, WebAssets(inner), KeptState(states, programs["model"]), entry)
        self._inner = inner
        self._turn = asyncio.Lock()  # what is bound depends on what earlier runs made of the state
        told = inner.report
        self.report = SessionReport(
            device=told.device,
            reason=told.reason,
            engine=told.engine,
            variant=tuple(told.variant),
            dispatches=told.dispatches,
            host_steps=told.hostSteps,
            steps=tuple(told.steps),
            weights_bytes=told.weightsBytes,
            memory_bytes=told.memoryBytes,
            threads=told.threads,
            threads_reason=told.threadsReason,
            reads=told.reads,
            tuned=told.tuned,
        )

    def run(self, feeds: Mapping[str, Any], *, entry: str | None = None) -> dict[str, Any]:
        """As on every device, where the engine has JavaScript Promise Integration; else BlockingError."""
        _, spec = self._find(entry)
        if not can_run_sync():
            self._bind(spec, feeds)  # what is wrong with feeds is told first
        check_blocking("session.run_async(feeds)")
        made: dict[str, Any] = run_sync(self.run_async(feeds, entry=entry))
        return made

    async def run_async(self, feeds: Mapping[str, Any], *, entry: str | None = None) -> dict[str, Any]:
        """Run the program once; runs queue. Cancelling ends a program on Wasm at its next step."""
        _, spec = self._find(entry)
        async with self._turn:
            await self._inner.idle  # a run that was cancelled may still change the state
            return name_outputs(spec, await self._execute_async(spec, self._bind(spec, feeds)))

    async def asset_async(self, name: str) -> bytes:
        """`assets[name]`, awaited."""
        return await read_asset(self._inner, name)

    @property
    def state(self) -> WebState:
        """What the session keeps from run to run."""
        return WebState(self, self._current(), self._inner)

    def _current(self) -> KeptState:
        """The states as they are now, of which the JavaScript session keeps account."""
        self._kept.sizes, self._kept.torn = list(self._inner.kept.sizes), self._inner.kept.torn
        return self._kept

    def _bind(self, entry: Entry, feeds: Mapping[str, Any]) -> Bound:
        return self._current().bind(entry, feeds)

    def _find(self, entry: str | None) -> tuple[int, Entry]:
        if entry is not None and self.find_entry(entry) != self._entry:
            raise InputError(
                f"in a web page a session runs the entry that it was loaded for,"
                f" {self.entries[self._entry]!r}: load the pack again with entry={entry!r}"
            )
        return super()._find(entry)

    def _execute(self, number: int, entry: Entry, bound: Bound) -> Sequence[Tensor]:
        check_blocking("session.run_async(feeds)")
        made: Sequence[Tensor] = run_sync(self._execute_async(entry, bound))
        return made

    async def _execute_async(self, entry: Entry, bound: Bound) -> Sequence[Tensor]:
        self._check_open()
        inputs = js.Array.new()
        for tensor in bound.inputs:
            data = js.Uint8Array.new(len(tensor.data))
            data.assign(tensor.data)
            inputs.push(data)
        symbols = options(**bound.symbols)
        try:
            made = await settle(lambda signal: self._inner.runBytes(inputs, symbols, signal))
        finally:
            told = self._inner.report
            self.report.memory_bytes, self.report.reloads = told.memoryBytes, told.reloads
        return [
            Tensor(raw.buffer.to_memoryview(), tuple(raw.shape), spec.dtype.value)
            for raw, spec in zip(made, entry.outputs, strict=True)
        ]

    def _read_state(self, number: int) -> memoryview:
        raise NotImplementedError  # the JavaScript session does it: WebState

    def _write_states(self, states: Mapping[int, memoryview]) -> None:
        raise NotImplementedError

    def _reset_states(self) -> None:
        raise NotImplementedError

    def _release(self) -> None:
        self._inner.dispose()


async def load_async(
    url: str | os.PathLike[str],
    device: str,
    entry: str | None,
    threads: int | None = None,
    runtime: str | JsProxy | None = None,
    worker: bool | None = None,
    cache: bool | str = False,
    progress: Progress | None = None,
    gpu_device: JsProxy | None = None,
) -> Session:
    """A session; see pyruntime.load_async."""
    module, worker_url = await find_runtime(runtime)
    given = options(
        device=device,
        entry=entry,
        threads=threads,
        worker=worker,
        workerUrl=worker_url,
        cache=cache,
        gpuDevice=gpu_device,
        onProgress=progress and (lambda loaded, total, *_: progress(loaded, total)),
    )

    def start(signal: Any) -> Any:
        given.signal = signal
        return module.load(os.fspath(url), given)

    inner = await settle(start)
    if not hasattr(inner, "runBytes"):
        inner.dispose()
        raise DeviceError(f"{runtime or 'the JavaScript runtime'} is of another version than this pyruntime")
    return WebSession(inner, entry)


def load(
    url: str | os.PathLike[str],
    device: str,
    entry: str | None,
    threads: int | None = None,
    gpu_device: JsProxy | None = None,
) -> Session:
    """A session; see pyruntime.load."""
    check_blocking("pyruntime.load_async(url)")
    session: Session = run_sync(load_async(url, device, entry, threads, gpu_device=gpu_device))
    return session
