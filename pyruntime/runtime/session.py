"""The session: what every device has in common."""

from __future__ import annotations

import asyncio
import difflib
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from pyruntime.errors import DisposedError, InputError
from pyruntime.ir.dtypes import DType
from pyruntime.runtime.bind import Bound, make_output, spec_of
from pyruntime.runtime.lists import gathered
from pyruntime.runtime.state import KeptState, SessionState
from pyruntime.runtime.strings import to_strings
from pyruntime.runtime.tensors import ListSpec, Tensor, TensorSpec

if TYPE_CHECKING:
    from pyruntime.pack.schema import Entry

Device = Literal["auto", "webgpu", "wasm"]


@dataclass
class SessionReport:
    """What a session runs on, and what a run takes.

    Attributes:
        device: "webgpu" or "wasm".
        reason: why this device was chosen.
        engine: the adapter's or the Wasm engine's name.
        variant: the features that the chosen variant of the pack uses beyond the base.
        dispatches: GPU dispatches of a run; 0 on Wasm. The most there can be, where sizes decide;
            those in loops count once.
        host_steps: steps of a WebGPU program that run on the CPU.
        reads: places where a WebGPU program waits for a number that it computed, to decide how it goes on.
        steps: names of the program's steps, in order.
        weights_bytes: bytes of weights on the device.
        memory_bytes: bytes that the device holds at present, weights included; grows with the sizes fed.
        threads: threads that share the steps of a run on Wasm.
        threads_reason: why so many.
        reloads: how often the GPU was lost and the pack loaded again by itself: once at most.
        tuned: whether shaders are those that `pyruntime tune` found best on this GPU, or one of its kind.
    """

    device: str
    reason: str
    engine: str
    variant: tuple[str, ...]
    dispatches: int
    host_steps: int
    steps: tuple[str, ...]
    weights_bytes: int
    memory_bytes: int
    threads: int = 1
    threads_reason: str = ""
    reads: int = 0
    reloads: int = 0
    tuned: bool = False


class Session(ABC):
    """A model ready to run. Runs from several threads queue. Use it as a context manager, or call `close`.

    Attributes:
        inputs: a TensorSpec of each, in the model's order; of a list as `x[0]`, `x[1]` and so on.
        outputs: the same of what it gives.
        lists: ListSpec of each sequence that is fed or given as a list.
        device: "webgpu" or "wasm".
        report: a SessionReport.
        assets: the files that travel with the model, by name: `session.assets["tokenizer.json"]`.
    """

    report: SessionReport

    def __init__(
        self, entries: Sequence[Entry], assets: Mapping[str, bytes], kept: KeptState, entry: str | None
    ) -> None:
        self._entries = entries
        self._assets = assets
        self._entry = self.find_entry(entry) if entry is not None else 0
        self._lock = threading.Lock()
        self._closed = False
        self._committed = False  # whether the present run has begun to overwrite states
        self._kept = kept

    def __repr__(self) -> str:
        def told(specs: Sequence[TensorSpec]) -> str:
            return ", ".join(f"{s.name}: {s.dtype}[{', '.join(map(str, s.shape))}]" for s in specs)

        return f"<{type(self).__name__} {told(self.inputs)} -> {told(self.outputs)}>"

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The inputs of the session's entry."""
        return tuple(map(spec_of, self._entries[self._entry].inputs))

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs of the session's entry."""
        return tuple(map(spec_of, self._entries[self._entry].outputs))

    @property
    def lists(self) -> tuple[ListSpec, ...]:
        """Which inputs and outputs of the session's entry are fed and given together, as a list."""
        lists = self._entries[self._entry].lists
        return tuple(ListSpec(each.name, each.of, each.first, each.length) for each in lists)

    @property
    def entries(self) -> tuple[str, ...]:
        """Names of the programs of the pack."""
        return tuple(e.name for e in self._entries)

    @property
    def assets(self) -> Mapping[str, bytes]:
        """Files of the pack beside the model, each read, and its hash checked, when it is asked for."""
        return self._assets

    @property
    def device(self) -> str:
        """What this session runs on."""
        return self.report.device

    @property
    def state(self) -> SessionState:
        """What the session keeps from run to run."""
        return SessionState(self, self._kept)

    def find_entry(self, name: str) -> int:
        """The number of an entry. Raises InputError naming the entries there are."""
        if name not in self.entries:
            close = difflib.get_close_matches(name, self.entries, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ";"
            raise InputError(
                f"there is no entry {name!r}{hint} the pack has {', '.join(map(repr, self.entries))}"
            )
        return self.entries.index(name)

    def run(self, feeds: Mapping[str, Any], *, entry: str | None = None) -> dict[str, Any]:
        """Run the program once. In a web page this needs an engine that can wait; `run_async` always works.

        Args:
            feeds: for each input its elements: a NumPy array or anything array-like of the exact dtype, or
                (nested lists of) Python numbers; for strings arrays of str, or (nested lists of) them. For a
                sequence a list of these.
            entry: another of the pack's programs than the session's own.

        Returns:
            For each output a new NumPy array, of str objects for strings; where there is no NumPy a `Tensor`,
            or nested lists of str. A list of them for a sequence, None for an optional that is absent.

        Raises:
            InputError: a name, dtype, shape or value that the model does not take.
            MemoryLimitError: these sizes need more memory than the device allows.
            StateError: a state is full, was lost with the GPU, or left unfinished by a run that failed.
            DeviceLostError: the GPU was lost, and loading the pack again, once, did not help.
            RunError: the program failed.
            DisposedError: the session is closed.
            BlockingError: a web page cannot wait here.
        """
        number, spec = self._find(entry)
        with self.using():
            bound = self._kept.bind(spec, feeds)
            self._committed = False
            try:
                outputs = self._execute(number, spec, bound)
            except BaseException:
                if self._committed:
                    self._kept.tear()
                raise
            self._kept.advance(spec, bound)
        return name_outputs(spec, outputs)

    def _find(self, entry: str | None) -> tuple[int, Entry]:
        """The number of the entry that is meant, and the entry."""
        number = self._entry if entry is None else self.find_entry(entry)
        return number, self._entries[number]

    async def run_async(self, feeds: Mapping[str, Any], *, entry: str | None = None) -> dict[str, Any]:
        """`run` in a thread of its own."""
        return await asyncio.to_thread(self.run, feeds, entry=entry)

    async def asset_async(self, name: str) -> bytes:
        """`assets[name]`, awaited: in a thread of its own."""
        return await asyncio.to_thread(self.assets.__getitem__, name)

    @contextmanager
    def using(self) -> Iterator[None]:
        """Alone with the device. Raises DisposedError when the session is closed."""
        with self._lock:
            self._check_open()
            yield

    def _check_open(self) -> None:
        if self._closed:
            raise DisposedError("the session is closed")

    def close(self) -> None:
        """Free what the session holds on the device; calling it again does nothing."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Session:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def _execute(self, number: int, entry: Entry, bound: Bound) -> Sequence[Tensor]:
        """Outputs of one run, in the entry's order, with bytes of their own.

        Sets `_committed` before anything overwrites a state.
        """

    @abstractmethod
    def _read_state(self, number: int) -> memoryview:
        """A copy of a state's memory: its largest shape, row-major, in the API's dtype."""

    @abstractmethod
    def _write_states(self, states: Mapping[int, memoryview]) -> None:
        """Set the memory of states. Raises InputError, before any is set, for elements that do not fit."""

    @abstractmethod
    def _reset_states(self) -> None:
        """Make all states what they are at first."""

    @abstractmethod
    def _release(self) -> None:
        """Free memory on the device."""


def name_outputs(entry: Entry, outputs: Sequence[Tensor]) -> dict[str, Any]:
    """Outputs in the entry's order as the user gets them."""
    made = [
        to_strings(t, s.name) if s.encodes is DType.STRING else make_output(t, s.encodes)
        for s, t in zip(entry.outputs, outputs, strict=True)
    ]
    return gathered(entry, made)
