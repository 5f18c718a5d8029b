"""What dispatches of a session on WebGPU take: by the device's timestamps, or by waiting for each."""

from __future__ import annotations

import struct
import time
from typing import Any, Protocol

import wgpu
from wgpu.backends.wgpu_native import lib

from pyruntime.pack.program import BoundDispatch
from pyruntime.pack.schema import Entry
from pyruntime.runtime.bind import Bound
from pyruntime.runtime.gpu_plan import Call, ComputePass, Plan
from pyruntime.runtime.webgpu import WebGpuSession

QUERIES = 4096  # of a set, by WebGPU's rules; two for each dispatch

Taken = list[tuple[BoundDispatch, float]]


class Clock(Protocol):
    """Times the dispatches of runs."""

    name: str

    def run(self, session: WebGpuSession, number: int, entry: Entry, bound: Bound) -> Taken:
        """One run of an entry: its dispatches in order, and the seconds that each took."""


def clock_of(session: WebGpuSession) -> Clock:
    """The best clock that a session's device has."""
    return Timestamps(session._device) if session._gpu.timestamps else Waits(session._device)


class Waits:
    """The processor's clock, around each dispatch and the wait for its end."""

    name = "waiting"

    def __init__(self, device: Any) -> None:
        self._device = device
        self._little = device.create_buffer(size=4, usage=wgpu.BufferUsage.COPY_SRC)

    def run(self, session: WebGpuSession, number: int, entry: Entry, bound: Bound) -> Taken:
        """See `Clock`."""
        plan, found = session._start(number, entry, bound), Taken()
        while True:
            for encode, dispatch in plan.singly():
                seconds = self._submitted(encode)
                if dispatch is not None:
                    found.append((dispatch, seconds))
            pause = plan.program.pause
            if pause is None:
                return found
            plan = session._resumed(number, entry, pause, self._device.create_command_encoder())

    def _submitted(self, encode: Any) -> float:
        """Do what is encoded; the seconds until it is done."""
        encoder = self._device.create_command_encoder()
        encode(encoder)
        self._device.queue.read_buffer(self._little)  # nothing else is under way
        start = time.perf_counter()
        self._device.queue.submit([encoder.finish()])
        self._device.queue.read_buffer(self._little)
        return time.perf_counter() - start


class Timestamps:
    """The device's clock: query sets for as many dispatches as there are, and their results' way back."""

    name = "timestamp-query"

    def __init__(self, device: Any) -> None:
        self._device = device
        self._period = lib.wgpuQueueGetTimestampPeriod(device.queue._internal) * 1e-9  # seconds of a tick
        self._sets: list[tuple[Any, Any, Any]] = []  # queries, results, staging

    def run(self, session: WebGpuSession, number: int, entry: Entry, bound: Bound) -> Taken:
        """See `Clock`. What is read back decides how it goes on."""
        plan, found = session._start(number, entry, bound), Taken()
        while True:
            encoder, steps = self._encoded(plan)
            pause = plan.program.pause
            if pause is None:
                session._device.queue.submit([encoder.finish()])
                found += zip(steps, self.seconds(len(steps)), strict=True)
                return found
            plan = session._resumed(number, entry, pause, encoder)
            found += zip(steps, self.seconds(len(steps)), strict=True)

    def _encoded(self, plan: Plan) -> tuple[Any, list[BoundDispatch]]:
        """What a plan does, each dispatch as a pass with timestamps, and the dispatches."""
        encoder = self._device.create_command_encoder()
        steps: list[BoundDispatch] = []
        for encode in plan.encode:
            if not isinstance(encode, ComputePass):
                encode(encoder)
                continue
            for call in encode.dispatches:
                self.dispatch(encoder, call, len(steps))
                assert call.bound is not None
                steps.append(call.bound)
        self.resolve(encoder, len(steps))
        return encoder, steps

    def dispatch(self, encoder: Any, call: Call, index: int) -> None:
        """Encode a dispatch between two timestamps; `index` counts those since the last `resolve`."""
        number, at = divmod(2 * index, QUERIES)
        while len(self._sets) <= number:
            usage = wgpu.BufferUsage
            self._sets.append(
                (
                    self._device.create_query_set(type="timestamp", count=QUERIES),
                    self._device.create_buffer(size=QUERIES * 8, usage=usage.QUERY_RESOLVE | usage.COPY_SRC),
                    self._device.create_buffer(size=QUERIES * 8, usage=usage.MAP_READ | usage.COPY_DST),
                )
            )
        writes = {
            "query_set": self._sets[number][0],
            "beginning_of_pass_write_index": at,
            "end_of_pass_write_index": at + 1,
        }
        compute = encoder.begin_compute_pass(timestamp_writes=writes)
        compute.set_pipeline(call.pipeline)
        compute.set_bind_group(0, call.group)
        compute.dispatch_workgroups(*call.workgroups)
        compute.end()

    def resolve(self, encoder: Any, count: int) -> None:
        """Encode what brings the timestamps of `count` dispatches back."""
        for (queries, results, staging), size in zip(self._sets, _parts(2 * count), strict=False):
            encoder.resolve_query_set(queries, 0, size, results, 0)
            encoder.copy_buffer_to_buffer(results, 0, staging, 0, size * 8)

    def seconds(self, count: int) -> list[float]:
        """What the dispatches took, after the encoder was submitted."""
        ticks: list[int] = []
        for (_, _, staging), size in zip(self._sets, _parts(2 * count), strict=False):
            staging.map_sync("READ", 0, size * 8)
            ticks += struct.unpack(f"<{size}Q", staging.read_mapped(0, size * 8))
            staging.unmap()
        # clocks of GPUs may be set back: that is no time
        return [
            max(end - begin, 0) * self._period for begin, end in zip(ticks[::2], ticks[1::2], strict=True)
        ]


def _parts(count: int) -> list[int]:
    """So many queries as sets hold them."""
    return [min(QUERIES, count - at) for at in range(0, count, QUERIES)]
