"""Times a session on WebGPU step by step by the device's timestamps, and the limits' loops beside it."""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping, Sequence
from typing import Any

import wgpu

from pyruntime.pack.account import costs_of
from pyruntime.runtime.bench import gpu_loops
from pyruntime.runtime.bench.gpu_timer import Timestamps
from pyruntime.runtime.bench.profile import Budget, Profile, Progress, Samples, limits_of, profile_of
from pyruntime.runtime.gpu_plan import Call
from pyruntime.runtime.webgpu import WebGpuSession

WARM_UP = 2  # rounds that count for nothing: caches, clock rates


def profile(session: WebGpuSession, feeds: Mapping[str, Any], budget: Budget, progress: Progress) -> Profile:
    """Whole runs and runs with timestamps in turns; see `native.measure`.

    A whole run is what `Session.run` takes, with uploads and the outputs' way back; steps are the device's
    time alone.
    """
    number, entry = session._find(None)
    gpu = session._gpu
    with session.using():
        bound = session._kept.bind(entry, feeds)
        session._execute(number, entry, bound)  # checks everything
        timer = Timestamps(gpu.handle) if gpu.timestamps else None
        loops = None if timer is None else _Loops(gpu.handle, timer)
        samples, rounds, began = Samples(), -WARM_UP, 0.0
        while rounds < 0 or budget.spent(rounds, time.perf_counter() - began) < 1:
            if rounds == 0:
                samples, began = Samples(), time.perf_counter()
            session._reset_states()
            start = time.perf_counter()
            session._execute(number, entry, bound)
            samples.whole.append(time.perf_counter() - start)
            if timer is not None and loops is not None:
                session._reset_states()
                with gpu.guarded(f"entry {entry.name!r}"):
                    taken = timer.run(session, number, entry, bound)
                    samples.add_steps((dispatch.step, seconds) for dispatch, seconds in taken)
                    loops.sample(samples)
            rounds += 1
            progress(budget.spent(rounds, time.perf_counter() - began) if rounds > 0 else 0.0)
        session._reset_states()
    return profile_of(
        samples,
        costs_of(session._pack[1], number, "webgpu"),
        limits_of(samples, gpu_loops.GPU_KIND) if timer is not None else None,
        device="webgpu",
        place="native",
        engine=session.report.engine,
        threads=1,
        variant=session.report.variant,
        symbols=bound.symbols,
        notes=() if timer is not None else (gpu_loops.UNTIMED,),
    )


class _Loops:
    """The limits' shaders with their buffers."""

    def __init__(self, device: Any, timer: Timestamps) -> None:
        usage = wgpu.BufferUsage
        self._device, self._timer = device, timer
        self._buffers = [
            device.create_buffer(size=gpu_loops.SOURCE_BYTES, usage=usage.STORAGE) for _ in range(2)
        ]
        self._counts: dict[int, Any] = {}
        self._adds = self._pipeline(gpu_loops.multiply_adds())
        self._copy = self._pipeline(gpu_loops.copy())
        self._groups, most = gpu_loops.GROUPS
        while self._measured([self._adds_call()])[0] < gpu_loops.ENOUGH and 2 * self._groups <= most:
            self._groups *= 2
        self._copies = [gpu_loops.COPIES[0]]
        for moved in gpu_loops.COPIES[1:]:
            self._copies.append(moved)
            if self._measured([self._copy_call(moved)])[0] > gpu_loops.TOO_LONG:
                break

    def _pipeline(self, code: str) -> Any:
        module = self._device.create_shader_module(code=code)
        return self._device.create_compute_pipeline(
            layout="auto", compute={"module": module, "entry_point": "main"}
        )

    def _call(self, pipeline: Any, count: int, groups: int) -> Call:
        if count not in self._counts:
            usage = wgpu.BufferUsage.UNIFORM | wgpu.BufferUsage.COPY_DST
            self._counts[count] = self._device.create_buffer_with_data(
                data=struct.pack("<4I", count, 0, 0, 0), usage=usage
            )
        resources = [*self._buffers, self._counts[count]]
        entries = [
            {"binding": i, "resource": {"buffer": b, "offset": 0, "size": b.size}}
            for i, b in enumerate(resources)
        ]
        group = self._device.create_bind_group(layout=pipeline.get_bind_group_layout(0), entries=entries)
        return Call(pipeline, group, (groups, 1, 1))

    def _adds_call(self) -> Call:
        return self._call(self._adds, gpu_loops.ROUNDS, self._groups)

    def _copy_call(self, moved: int) -> Call:
        vectors = moved // 2 // gpu_loops.VECTOR
        return self._call(self._copy, vectors, -(-vectors // gpu_loops.GROUP))

    def _measured(self, calls: Sequence[Call]) -> list[float]:
        """Seconds of dispatches."""
        encoder = self._device.create_command_encoder()
        for index, call in enumerate(calls):
            self._timer.dispatch(encoder, call, index)
        self._timer.resolve(encoder, len(calls))
        self._device.queue.submit([encoder.finish()])
        return [max(s, 1e-9) for s in self._timer.seconds(len(calls))]

    def sample(self, samples: Samples) -> None:
        """One measurement of each loop."""
        adds, *copies = self._measured([self._adds_call(), *map(self._copy_call, self._copies)])
        work = gpu_loops.ROUNDS * gpu_loops.OPERATIONS * gpu_loops.GROUP * self._groups
        samples.multiply_adds.append(work / adds)
        samples.dots.append(work / adds)  # WGSL multiplies integers of 32 bits alone
        for moved, seconds in zip(self._copies, copies, strict=True):
            samples.copies.setdefault(moved, []).append(moved / seconds)
