"""Whether other forms of dispatches give the same results, on what the program gives before each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import wgpu

from pyruntime.errors import DeviceLostError, PyRuntimeError
from pyruntime.pack.program import BoundDispatch, BoundProgram, Span, bind
from pyruntime.pack.schema import Entry
from pyruntime.pack.targets import WebGpu
from pyruntime.runtime.bind import Bound
from pyruntime.runtime.gpu_plan import Plan
from pyruntime.runtime.webgpu import WebGpuSession

# of an element, and of the largest one: sums in another order, of thousands of products
TOLERANCES: Mapping[str, tuple[float, float]] = {"float32": (1e-4, 2e-5), "float16": (4e-3, 2e-3)}


def agree(expected: Any, actual: Any, dtype: str) -> bool:
    """Whether bytes hold the same elements: floats nearly, NaN and infinities in the same places."""
    if dtype not in TOLERANCES:
        return bytes(expected) == bytes(actual)
    one, other = (np.frombuffer(data, dtype).astype(np.float64) for data in (expected, actual))
    finite = np.isfinite(one)
    if not np.array_equal(finite, np.isfinite(other)):
        return False
    if not np.array_equal(one[~finite], other[~finite], equal_nan=True):
        return False
    of_each, of_largest = TOLERANCES[dtype]
    size = np.abs(one[finite])
    limit = of_each * size + of_largest * size.max(initial=0.0)
    return bool(np.all(np.abs(other[finite] - one[finite]) <= limit))


def right(
    session: WebGpuSession,
    number: int,
    entry: Entry,
    bound: Bound,
    others: Sequence[WebGpu],
    results: Mapping[int, str],
) -> Iterator[tuple[int, list[bool]]]:
    """Run an entry, and in it other forms of some dispatches, as `others` have them.

    Args:
        session: with its own program; its shaders are those of the others, too.
        number: of the entry.
        entry: it.
        bound: the inputs.
        others: targets whose commands differ in shaders, words and workgroups alone.
        results: by command the type of what it writes.

    Yields:
        Each of these commands when it first comes, and which of the others do the same there.
    """
    plan = session._start(number, entry, bound)
    done: set[int] = set()
    while True:
        programs = [_bound(session, other, number, entry, plan) for other in others]
        for place, (encode, command) in enumerate(plan.singly()):
            if command is None or command.command in done or command.command not in results:
                _submit(session, encode)
                continue
            done.add(command.command)
            dispatches = [None if p is None else p.commands[place] for p in programs]
            dtype = results[command.command]
            yield command.command, _verdicts(session, plan, command, encode, dispatches, dtype)
        pause = plan.program.pause
        if pause is None:
            return
        plan = session._resumed(number, entry, pause, session._device.create_command_encoder())


def _bound(
    session: WebGpuSession, other: WebGpu, number: int, entry: Entry, plan: Plan
) -> BoundProgram | None:
    """Another program for the sizes of a plan; None where it has none, or not the same commands."""
    try:
        made = bind(other, session._number, number, entry, plan.symbols, plan.start)
    except PyRuntimeError:
        return None
    same = [getattr(c, "command", None) for c in made.commands]
    return made if same == [getattr(c, "command", None) for c in plan.program.commands] else None


def _submit(session: WebGpuSession, encode: Any) -> None:
    encoder = session._device.create_command_encoder()
    encode(encoder)
    session._device.queue.submit([encoder.finish()])


def _verdicts(
    session: WebGpuSession,
    plan: Plan,
    command: BoundDispatch,
    encode: Any,
    others: Sequence[Any],
    dtype: str,
) -> list[bool]:
    """Which others write what a command writes. Afterwards there is what the command wrote."""
    span, queue = command.bindings[-1], session._device.queue
    buffer = session._of(span)
    before = _copy_of(session, span)
    _submit(session, encode)
    expected = queue.read_buffer(buffer, span.offset, span.bytes)
    found = []
    for other in others:
        if not isinstance(other, BoundDispatch) or other == command:
            found.append(False)
            continue
        _submit(session, lambda e: e.copy_buffer_to_buffer(before, 0, buffer, span.offset, span.bytes))
        try:
            with session._gpu.guarded(f"step {command.step!r}"):
                alone = session._prepare(replace(plan.program, commands=(other,), pause=None))
                _submit(session, alone.encode[0])
                actual = queue.read_buffer(buffer, span.offset, span.bytes)
                alone.uniforms.destroy()
        except DeviceLostError:
            raise
        except PyRuntimeError:
            found.append(False)
            continue
        found.append(agree(expected, actual, dtype))
    queue.write_buffer(buffer, span.offset, expected)
    before.destroy()
    return found


def _copy_of(session: WebGpuSession, span: Span) -> Any:
    usage = wgpu.BufferUsage.COPY_SRC | wgpu.BufferUsage.COPY_DST
    made = session._device.create_buffer(size=span.bytes, usage=usage)
    source = session._of(span)
    _submit(session, lambda e: e.copy_buffer_to_buffer(source, span.offset, made, 0, span.bytes))
    return made
