"""The helpers of a Wasm session: threads that share the steps of its runs, each in an instance of its own."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Sequence

import wasmtime

LARGEST = 64  # threads that a module knows
_USUAL = 4  # more gain little for what they take from the rest of the machine


def usual_threads() -> tuple[int, str]:
    """How many threads a session has unless it is told, and why."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(processors, _USUAL), f"one for each processor, up to {_USUAL}; there are {processors}"


class Team:
    """Helpers 1 to count - 1 of a module; they sleep where there is nothing to do, and end with this object.

    Attributes:
        errors: why helpers ended early. Such an end makes the run fail that they were needed for.
    """

    def __init__(
        self, engine: wasmtime.Engine, module: wasmtime.Module, memory: wasmtime.SharedMemory, count: int
    ) -> None:
        self.errors: list[BaseException] = []
        members = [_member(engine, module, memory) for _ in range(count)]
        # the first of them runs nothing, and so can be called at any time
        store, stop, _ = members[0]
        threads = [
            threading.Thread(
                target=_help, args=(member, number, self.errors), name=f"pyruntime-{number}", daemon=True
            )
            for number, member in enumerate(members[1:], start=1)
        ]
        self._end = weakref.finalize(self, _end, store, stop, threads)
        for thread in threads:
            thread.start()

    def end(self) -> None:
        """Stop the run that there is, and wait until every helper has left the module."""
        self._end()


_Member = tuple[wasmtime.Store, Callable[..., object], Callable[..., object]]


def _member(engine: wasmtime.Engine, module: wasmtime.Module, memory: wasmtime.SharedMemory) -> _Member:
    """A store with an instance, and the instance's `stop` and `worker`."""
    store = wasmtime.Store(engine)
    exports = wasmtime.Instance(store, module, [memory]).exports(store)
    return store, exports["stop"], exports["worker"]  # type: ignore[return-value]  # checked: functions


def _help(member: _Member, number: int, errors: list[BaseException]) -> None:
    store, stop, worker = member
    try:
        worker(store, number)
    except BaseException as error:  # noqa: BLE001 - whatever it is, nobody may wait for this helper
        errors.append(error)
        stop(store)


def _end(store: wasmtime.Store, stop: Callable[..., object], threads: Sequence[threading.Thread]) -> None:
    stop(store)
    for thread in threads:
        thread.join()
