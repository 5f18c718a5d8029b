"""Sessions on WebGPU, through wgpu-py."""

from __future__ import annotations

import math
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from pyruntime.errors import (
    DeviceError,
    DeviceLostError,
    InputError,
    PackError,
    PyRuntimeError,
    RunError,
    StateError,
)
from pyruntime.ir.dtypes import DType
from pyruntime.pack.alternatives import decode_alternatives, extended
from pyruntime.pack.expressions import Evaluator
from pyruntime.pack.program import (
    MAX_COMMANDS,
    BoundCopy,
    BoundDispatch,
    BoundHost,
    BoundProgram,
    BoundRead,
    BoundTensor,
    Span,
    bind,
)
from pyruntime.pack.program import size as size_of
from pyruntime.pack.reader import Pack
from pyruntime.pack.schema import Entry, Spec
from pyruntime.pack.targets import (
    ALIGNMENT,
    GPU_DTYPES,
    Dispatch,
    GpuTensor,
    HostTensor,
    Read,
    WebGpu,
    gpu_bytes,
)
from pyruntime.runtime.assets import Assets
from pyruntime.runtime.bind import Bound
from pyruntime.runtime.gpu_convert import WORD, narrow, widen
from pyruntime.runtime.gpu_device import Device, device
from pyruntime.runtime.gpu_names import best_for
from pyruntime.runtime.gpu_pipelines import Pipelines
from pyruntime.runtime.gpu_plan import Call, ComputePass, Plan, step_names
from pyruntime.runtime.session import Session, SessionReport
from pyruntime.runtime.state import KeptState
from pyruntime.runtime.tensors import Tensor

if TYPE_CHECKING:
    from pyruntime.runtime.host import HostModule

Result = TypeVar("Result")
PLANS_KEPT = 8
UPLOAD_BATCH = 32 << 20  # bytes of weights after which the queue is flushed, since it copies what it is given


class WebGpuSession(Session):
    """A pack's shaders and command lists with their buffers, and the module with its host steps, if any.

    A device that is lost is made good once: the pack is loaded again, on a new one.

    Args:
        pack: the pack.
        entry: the program that the session means, the first for None.
        reason: why this device.
        gpu_device: a `wgpu.GPUDevice` of the user's own, if not the shared one.
        tuned: whether to take what the pack has for this GPU in place of the defaults.

    Raises:
        DeviceError: there is no adapter, or no Wasm engine for host steps, or the pack has no WebGPU target.
        MemoryLimitError: the weights do not fit the device.
        RunError: the device refuses a shader.
    """

    def __init__(
        self, pack: Pack, entry: str | None, reason: str, gpu_device: Any = None, *, tuned: bool = True
    ) -> None:
        kept = KeptState(pack.manifest.state, pack.manifest.model.sha256)
        super().__init__(pack.manifest.entries, Assets(pack), kept, entry)
        target = pack.manifest.targets.webgpu
        if target is None:
            raise DeviceError(f"{pack.path} was not converted for webgpu")
        self._pack, self._tuned = (pack.path, pack.manifest), tuned
        self._plans: OrderedDict[tuple[object, ...], Plan] = OrderedDict()
        self._gone: set[int] = set()  # states that went with a lost device, and were not set since
        self._host: HostModule | None = None
        if target.host is not None:
            from pyruntime.runtime.host import HostModule

            self._host = HostModule(pack, target.host)
        self._open(pack, device() if gpu_device is None else Device.of_user(gpu_device))
        commands = self._variant.entries[self._entry].commands
        # several dispatches of one step are forms of a kernel, of which the sizes leave one
        steps = tuple(dict.fromkeys(c.step for c in commands if isinstance(c, Dispatch)))
        self.report = SessionReport(
            device="webgpu",
            reason=reason,
            engine=self._gpu.adapter.name,
            variant=(*self._variant.requires, *self._gpu.offered(self._variant.uses)),
            dispatches=len(steps),
            host_steps=0 if target.host is None else len(target.host.entries[self._entry].steps),
            steps=tuple(step_names(target, self._number, self._entry)),
            weights_bytes=sum(target.buffers),
            memory_bytes=sum(target.buffers) + sum(target.state),
            reads=sum(isinstance(c, Read) for c in commands),
            tuned=self._alternatives is not None,
        )

    def _open(self, pack: Pack, gpu: Device) -> None:
        """Bring the pack to a device."""
        target = pack.manifest.targets.webgpu
        assert target is not None
        self._gpu, self._device = gpu, gpu.handle
        chosen = (i for i, v in enumerate(target.variants) if gpu.meets(v.requires, v.limits))
        self._number = next(chosen)  # the last one requires nothing
        self._alternatives = best_for(target.tuned, gpu.adapter.identity) if self._tuned else None
        code = pack.read(target.variants[self._number])
        if self._alternatives is not None:
            found = decode_alternatives(pack.read(self._alternatives), self._alternatives.file)
            target, code = extended(pack.manifest, self._number, code, found, self._alternatives.file)
        self._take(target)
        self._pipelines = Pipelines(gpu, self._variant, code)
        self._weights: list[Any] = []
        self._states: list[Any] = []
        self._arenas: list[Any] = []
        self._staging: Any = None
        try:
            with gpu.guarded("loading"):
                for size in (*self._target.buffers, *self._target.state):
                    gpu.check_binding(size, "a weight or state")  # larger buffers hold one tensor
                self._weights += (self._buffer(size, "the weights") for size in self._target.buffers)
                self._upload_weights(pack)
                self._states += (self._buffer(size, "a state") for size in self._target.state)
                self._initial_states()
                self._pipelines.prepare(self._entry)
        except BaseException:
            self._destroy()
            raise

    def _take(self, target: WebGpu) -> None:
        """Go on with the chosen variant as it is in `target`; its shaders are those of the pipelines."""
        self._target, self._variant = target, target.variants[self._number]

    def _lasting(self, action: Callable[[], Result], *, uses: bool = True) -> Result:
        """Do something, again where the device was lost; what uses states finds them whole, or StateError."""
        if uses:
            self._check_states()
        try:
            return action()
        except DeviceLostError as lost:
            if not self._gpu.own or self.report.reloads:
                raise
            self._reload(lost)
        if uses:
            self._check_states()
        return action()

    def _reload(self, lost: DeviceLostError) -> None:
        path, manifest = self._pack
        self.report.reloads += 1
        self._destroy()
        try:
            with Pack(path, manifest) as pack:
                self._open(pack, device())
        except PyRuntimeError as error:
            raise DeviceLostError(f"{lost}; loading again failed: {error}") from error
        self.report.engine = self._gpu.adapter.name
        self._gone = set(range(len(self._states)))

    def _check_states(self) -> None:
        if self._gone:
            raise StateError("the state was lost with the GPU; reset it, or load a saved one")

    def _buffer(self, size: int, what: str) -> Any:
        import wgpu

        self._gpu.check_buffer(size, what)
        usage = wgpu.BufferUsage.STORAGE | wgpu.BufferUsage.COPY_DST | wgpu.BufferUsage.COPY_SRC
        return self._device.create_buffer(size=max(size, WORD), usage=usage)

    def _upload_weights(self, pack: Pack) -> None:
        places = {w.tensor: w for w in self._target.weights}
        tensors = pack.manifest.weights.tensors
        pending = 0
        for index, first, data in pack.tensors(places):
            place = places[index]
            try:
                elements = widen(data, tensors[index].dtype, place.dtype)
            except InputError as error:
                raise PackError(f"weight {tensors[index].name!r}: {error}") from None
            start = place.offset + gpu_bytes(first, place.dtype)
            self._device.queue.write_buffer(self._weights[place.buffer], start, elements)
            pending += elements.nbytes
            if pending > UPLOAD_BATCH:
                self._device.queue.submit([])
                pending = 0
        self._device.queue.submit([])

    def _plan(self, number: int, entry: Entry, symbols: Mapping[str, int], start: int = 0) -> Plan:
        """What to do from command `start` on, up to the end or a read."""
        key = (number, start, *symbols.items())
        plan = self._plans.pop(key, None)
        if plan is None:
            program = bind(self._target, self._number, number, entry, symbols, start)
            full = Evaluator(self._kept.full(entry, symbols))
            arenas = [size_of(b, full) for b in self._variant.entries[number].arenas]
            self._reserve([*map(max, program.arenas, arenas)])
            plan = replace(self._prepare(program), symbols=symbols, start=start)
        self._plans[key] = plan
        while len(self._plans) > PLANS_KEPT:
            self._plans.popitem(last=False)[1].uniforms.destroy()
        return plan

    def _reserve(self, arenas: Sequence[int]) -> None:
        """Make the arenas large enough. Plans bind arenas, so larger ones end all plans."""
        self._arenas += [None] * (len(arenas) - len(self._arenas))
        for i, size in enumerate(arenas):
            present = self._arenas[i]
            if present is not None and present.size >= size:
                continue
            self._drop_plans()
            if present is not None:  # freed first: both at once may be too much
                self._arenas[i] = None
                present.destroy()
            self._arenas[i] = self._buffer(size, "tensors")
        held = [*self._weights, *self._states, *filter(None, self._arenas)]
        on_host = 0 if self._host is None else self._host.size
        self.report.memory_bytes = sum(b.size for b in held) + on_host

    def _drop_plans(self) -> None:
        for plan in self._plans.values():
            plan.uniforms.destroy()
        self._plans.clear()

    def _prepare(self, program: BoundProgram) -> Plan:
        import wgpu

        slots, packed = [], bytearray()
        for command in program.commands:
            if isinstance(command, BoundDispatch):
                slots.append(len(packed))
                packed += struct.pack(f"<{len(command.words)}i", *command.words)
                packed += bytes(-len(packed) % ALIGNMENT)
        uniforms = self._device.create_buffer(
            size=max(len(packed), ALIGNMENT), usage=wgpu.BufferUsage.UNIFORM | wgpu.BufferUsage.COPY_DST
        )
        if packed:
            self._device.queue.write_buffer(uniforms, 0, packed)
        steps: list[Callable[[Any], None]] = []
        run: ComputePass | None = None
        offsets = iter(slots)
        for command in program.commands:
            if isinstance(command, BoundDispatch):
                if run is None:
                    steps.append(run := ComputePass())
                pipeline, layout = self._pipelines.get(command.shader)
                group = self._bind_group(command, layout, uniforms, next(offsets))
                run.dispatches.append(Call(pipeline, group, command.workgroups, command))
            else:
                steps.append(self._transfer(command))
                run = None
        return Plan(program, steps, uniforms)

    def _bind_group(self, command: BoundDispatch, layout: Any, uniforms: Any, offset: int) -> Any:
        resources = []
        for span in command.bindings:
            self._gpu.check_binding(span.bytes, f"step {command.step!r}")
            resources.append({"buffer": self._of(span), "offset": span.offset, "size": span.bytes})
        size = -(-len(command.words) * WORD // 16) * 16
        resources.append({"buffer": uniforms, "offset": offset, "size": size})
        return self._device.create_bind_group(
            layout=layout, entries=[{"binding": i, "resource": r} for i, r in enumerate(resources)]
        )

    def _of(self, span: Span) -> Any:
        buffers = {"arena": self._arenas, "weights": self._weights, "state": self._states}
        return buffers[span.kind][span.index]

    def _transfer(self, command: BoundCopy) -> Callable[[Any], None]:
        target, source = command.target, command.source
        into = self._of(target)
        if source is None:
            return lambda encoder: encoder.clear_buffer(into, target.offset, target.bytes)
        origin = self._of(source)
        return lambda encoder: encoder.copy_buffer_to_buffer(
            origin, source.offset, into, target.offset, target.bytes
        )

    def _execute(self, number: int, entry: Entry, bound: Bound) -> Sequence[Tensor]:
        return self._lasting(lambda: self._run(number, entry, bound))

    def _run(self, number: int, entry: Entry, bound: Bound) -> Sequence[Tensor]:
        self._committed = False
        places = self._variant.entries[number]
        with self._gpu.guarded(f"entry {entry.name!r}"):
            plan = self._start(number, entry, bound)
            executed = 0
            while plan.program.pause is not None:
                executed += plan.program.executed
                if executed > MAX_COMMANDS:
                    raise RunError(
                        f"entry {entry.name!r}: more than {MAX_COMMANDS} commands; a loop does not end"
                    )
                self._committed = self._committed or plan.program.commits
                plan = self._resumed(number, entry, plan.program.pause, self._encoded(plan))
            encoder = self._encoded(plan)
            outputs = plan.program.outputs
            spans = [o.span for o in outputs if o.span is not None]
            self._committed = True
            with self._copied(encoder, spans) as words:
                on_gpu = iter(words)
                data = [
                    self._output(o, place, spec, on_gpu)
                    for o, place, spec in zip(outputs, places.outputs, entry.outputs, strict=True)
                ]
        return [
            Tensor(d, o.shape, s.dtype.value) for d, o, s in zip(data, outputs, entry.outputs, strict=True)
        ]

    def _output(
        self, made: BoundTensor, place: GpuTensor | HostTensor, spec: Spec, on_gpu: Iterator[memoryview]
    ) -> memoryview:
        """A copy of an output's bytes; `on_gpu` gives those of the next that lies there."""
        size = math.prod(made.shape) * spec.dtype.bytes
        if isinstance(place, GpuTensor):
            return narrow(next(on_gpu), place.dtype, spec.dtype)[:size]
        assert self._host is not None
        assert made.address is not None
        return memoryview(bytearray(self._host.span(made.address, size)))

    def _start(self, number: int, entry: Entry, bound: Bound) -> Plan:
        """Plan, and bring the inputs to where they are read."""
        uploads: list[Any] = []
        for tensor, spec, place in zip(
            bound.inputs, entry.inputs, self._variant.entries[number].inputs, strict=True
        ):
            try:
                uploads.append(
                    widen(tensor.data, spec.dtype, place.dtype) if isinstance(place, GpuTensor) else None
                )
            except InputError as error:
                raise InputError(f"input {spec.name!r}: {error}") from None
        plan = self._plan(number, entry, bound.symbols)
        if self._host is not None:
            self._host.plan(number, bound.symbols, self._kept.full(entry, bound.symbols))
        for tensor, elements, at in zip(bound.inputs, uploads, plan.program.inputs, strict=True):
            if at.span is not None and elements.nbytes:
                self._device.queue.write_buffer(self._of(at.span), at.span.offset, elements)
            if self._host is not None and at.address is not None:
                self._host.span(at.address, len(tensor.data))[:] = tensor.data
        return plan

    def _resumed(self, number: int, entry: Entry, pause: BoundRead | BoundHost, encoder: Any) -> Plan:
        """Do what is encoded, then what a plan ends with; the plan to go on with."""
        symbols = dict(pause.symbols)
        if isinstance(pause, BoundRead):
            symbols[pause.symbol] = self._element(encoder, pause)
        else:
            symbols |= self._host_steps(number, entry, pause, encoder)
        return self._plan(number, entry, symbols, pause.next)

    def _host_steps(self, number: int, entry: Entry, pause: BoundHost, encoder: Any) -> dict[str, int]:
        """Run steps on the CPU, on what is encoded; the symbols that they tell."""
        host = self._host
        assert host is not None
        known = {s.name: pause.symbols[s.name] for s in entry.symbols}
        host.plan(number, pause.symbols, self._kept.full(entry, known))
        with self._copied(encoder, [t.span for t in pause.inputs]) as copies:
            for words, each in zip(copies, pause.inputs, strict=True):
                host.span(each.address, each.bytes)[:] = narrow(words, GPU_DTYPES[each.dtype], each.dtype)
        host.run(number, pause)
        for each in pause.outputs:
            elements = widen(host.span(each.address, each.bytes), each.dtype, GPU_DTYPES[each.dtype])
            self._device.queue.write_buffer(self._of(each.span), each.span.offset, elements)
        return host.values(pause.reads)

    def _encoded(self, plan: Plan) -> Any:
        """A command encoder with what a plan does."""
        encoder = self._device.create_command_encoder()
        for encode in plan.encode:
            encode(encoder)
        return encoder

    def _element(self, encoder: Any, read: BoundRead) -> int:
        """Do what is encoded, and read the element that it ends with."""
        with self._copied(encoder, [read.span]) as (words,):
            return int.from_bytes(words, "little", signed=not DType(read.dtype).is_unsigned)

    @contextmanager
    def _copied(self, encoder: Any, spans: Sequence[Span]) -> Iterator[list[memoryview]]:
        """Do what is encoded; the bytes that then lie at some places, until the block ends."""
        starts = self._copy_out(encoder, spans)
        self._device.queue.submit([encoder.finish()])
        total = sum(s.bytes for s in spans)
        if not total:
            yield [memoryview(b"") for _ in spans]
            return
        self._staging.map_sync("READ", 0, total)
        words = self._staging.read_mapped(0, total, copy=False)
        try:
            yield [words[at : at + span.bytes] for at, span in zip(starts, spans, strict=True)]
        finally:
            words.release()
            self._staging.unmap()

    def _copy_out(self, encoder: Any, spans: Sequence[Span]) -> list[int]:
        """Gather the outputs in the staging buffer; where each begins there."""
        import wgpu

        total = sum(s.bytes for s in spans)
        if total and (self._staging is None or self._staging.size < total):
            self._gpu.check_buffer(total, "outputs")
            if self._staging is not None:
                self._staging.destroy()
            usage = wgpu.BufferUsage.MAP_READ | wgpu.BufferUsage.COPY_DST
            self._staging = self._device.create_buffer(size=total, usage=usage)
        starts, at = [], 0
        for span in spans:
            starts.append(at)
            if span.bytes:
                encoder.copy_buffer_to_buffer(self._of(span), span.offset, self._staging, at, span.bytes)
            at += span.bytes
        return starts

    def _read_state(self, number: int) -> memoryview:
        state = self._kept.states[number]
        size = gpu_bytes(math.prod(state.shape), GPU_DTYPES[state.dtype])
        if not size:
            return memoryview(b"")

        def read() -> Any:
            with self._gpu.guarded(f"state {state.name!r}"):
                return self._device.queue.read_buffer(self._states[number], 0, size)

        return narrow(self._lasting(read), GPU_DTYPES[state.dtype], state.dtype)

    def _write_states(self, states: Mapping[int, memoryview]) -> None:
        uploads = []
        for number, data in states.items():
            dtype = self._kept.states[number].dtype
            uploads.append((number, widen(data, dtype, GPU_DTYPES[dtype])))

        def write() -> None:
            with self._gpu.guarded("writing state"):
                for number, elements in uploads:
                    if elements.nbytes:
                        self._device.queue.write_buffer(self._states[number], 0, elements)

        self._lasting(write, uses=False)
        self._gone.difference_update(states)

    def _reset_states(self) -> None:
        self._lasting(self._initial_states, uses=False)
        self._gone.clear()

    def _initial_states(self) -> None:
        places = {w.tensor: w for w in self._target.weights}
        with self._gpu.guarded("resetting state"):
            encoder = self._device.create_command_encoder()
            for state, buffer in zip(self._kept.states, self._states, strict=True):
                size = gpu_bytes(math.prod(state.shape), GPU_DTYPES[state.dtype])
                if state.initial is None:
                    encoder.clear_buffer(buffer)
                elif size:
                    place = places[state.initial]
                    encoder.copy_buffer_to_buffer(self._weights[place.buffer], place.offset, buffer, 0, size)
            self._device.queue.submit([encoder.finish()])

    def _destroy(self) -> None:
        """Free what is on the device."""
        self._drop_plans()
        for buffer in [*self._weights, *self._states, *self._arenas, self._staging]:
            if buffer is not None:
                buffer.destroy()
        self._pipelines.clear()

    def _release(self) -> None:
        self._destroy()
        if self._host is not None:
            self._host.close()
