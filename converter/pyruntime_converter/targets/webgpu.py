"""The WebGPU part of a pack: arenas, shaders and the command list."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from pyruntime_shaders.emit import Dispatch as Rendering
from pyruntime_shaders.emit import Rendered, divide_programs, render_divided
from pyruntime_shaders.storage import FEATURE

from pyruntime.errors import UnsupportedError
from pyruntime.ir.dims import Dim, align, maximum
from pyruntime.ir.kernel import KernelCall
from pyruntime.ir.program import Jump as StepJump
from pyruntime.ir.program import Placement, Program, Step
from pyruntime.ir.program import Read as StepRead
from pyruntime.ir.program import Set as StepSet
from pyruntime.ir.rpn import to_rpn
from pyruntime.ir.views import Tensor
from pyruntime.pack.report import HostStep
from pyruntime.pack.sections import features_of
from pyruntime.pack.targets import (
    GPU_WORDS,
    Binding,
    Command,
    Dispatch,
    GpuEntry,
    GpuTensor,
    GpuVariant,
    GpuWeight,
    Host,
    HostTensor,
    Jump,
    Known,
    Read,
    Region,
    Set,
    Shader,
    Transfer,
    WebGpu,
)
from pyruntime.pack.writer import PackWriter
from pyruntime_converter.memory import plan_coloured
from pyruntime_converter.targets.candidates import Collector
from pyruntime_converter.targets.forms import WORD, Forms, gpu_bytes, gpu_dtype, half_forms, weight_forms
from pyruntime_converter.targets.host import Run, Sides, check_states
from pyruntime_converter.targets.host import build as build_host

if TYPE_CHECKING:
    from pyruntime_converter.build import Stored
    from pyruntime_converter.state import PackStates

ALIGNMENT = 256  # minStorageBufferOffsetAlignment
BINDING_LIMIT = 128 << 20  # maxStorageBufferBindingSize by default: what every device allows
LARGEST = (2 << 30) - ALIGNMENT  # what one tensor may have at most: many devices allow as much
LEAST_BINDING = 16  # a binding holds at least one element of the shader's type, vec4 at most
# where weights and states lie: kind of buffer, its index, offset
Place = tuple[Literal["weights", "state"], int, int]
Fixed = Mapping[Tensor, Place]


@dataclass(frozen=True)
class Built:
    """The target's part of the manifest, and for each program which side computes what."""

    target: WebGpu
    sides: Sequence[Sides]


def left_to_host(sides: Sequence[Sides]) -> list[HostStep]:
    """What the report tells of the steps that run on the CPU."""
    return [
        HostStep(side.program.steps[n].name, _nodes(side.program.steps[n]), reason.reason)
        for side in sides
        for n, reason in sorted(side.reasons.items())
    ]


def notes(sides: Sequence[Sides], fixed: Sequence[int]) -> tuple[str, ...]:
    """What a user of WebGPU should know of programs divided so, with `fixed` bytes of weights and states."""
    words = dict.fromkeys(
        t.name
        for side in sides
        for t in side.program.inputs
        if t in side.gpu and t.dtype in GPU_WORDS and not t.pairs
    )
    told = (
        f"webgpu: 64-bit integers of {', '.join(words)} are 32-bit on the device; larger values are refused"
    )
    steps = left_to_host(sides)
    crossings = sum(len(side.runs) for side in sides)
    host = f"webgpu: {len(steps)} steps run on the CPU, in {crossings} places; see host_steps"
    large = [size for size in fixed if size > BINDING_LIMIT]
    most = f"webgpu: {max(large, default=0)} bytes of one tensor; all GPUs bind {BINDING_LIMIT}, not all more"
    return (*([told] if words else []), *([host] if steps else []), *([most] if large else []))


def _nodes(step: Step) -> tuple[str, ...]:
    return tuple(f"{o.op} {o.name}" for o in step.origins) if isinstance(step, KernelCall) else ()


def build(
    programs: Sequence[Program],
    stored: Sequence[Stored],
    states: PackStates,
    pack: PackWriter,
    compiler: str | None = None,
    *,
    host_steps: bool = True,
    tunable: bool = False,
) -> Built:
    """Render the entries, write their shaders, and the module of their host steps, to pack; describe them.

    `tunable` writes what else could do their dispatches, too.

    Raises:
        UnsupportedError: what the GPU cannot compute, where host steps are forbidden; states that it
            cannot keep.
        CompilerError: host steps are needed, and there is no C compiler for Wasm.
    """
    divisions = divide_programs(programs, host_steps=host_steps)
    sides = [Sides(p, d.host) for p, d in zip(programs, divisions, strict=True)]
    check_states(sides)
    host = build_host(sides, stored, states, pack, compiler)
    stored = [s for s in stored if any(s.tensor in side.gpu for side in sides)]
    forms = weight_forms({s.tensor: s.dtype for s in stored}, states.states)
    weights, buffers = _place_weights(stored, forms)
    fixed: dict[Tensor, Place] = {
        s.tensor: ("weights", w.buffer, w.offset) for s, w in zip(stored, weights, strict=True)
    }
    fixed |= {t: ("state", number, 0) for t, number in states.number.items()}
    places = [{}] * len(sides) if host is None else host.places

    collected = Collector() if tunable else None

    def variant(name: str, requires: tuple[str, ...], forms: Forms) -> GpuVariant:
        placements = [plan_coloured(s.program, held=s.gpu, halves=forms) for s in sides]
        rendered = render_divided(programs, divisions, forms, placements)
        text, shaders = _join(rendered)
        written = pack.add_file(f"shaders.{name}.wgsl", text)
        entries = [
            _Entry(side, d, fixed, there, forms, placement).build()
            for side, d, there, placement in zip(sides, rendered.entries, places, placements, strict=True)
        ]
        uses = tuple(sorted(features_of(text.decode())))
        made = GpuVariant(requires, {}, *written, shaders, entries, uses)
        if collected is not None:
            collected.add(made, rendered.entries, forms, placements)
        return made

    halves = half_forms(sides, forms)
    variants = [
        *([variant("f16", (FEATURE,), halves)] if halves else []),
        variant("base", (), forms),
    ]
    sizes = tuple(_state_bytes(s.tensor) for s in states.states)
    module = None if host is None else host.target
    candidates = None if collected is None else collected.write(pack)
    return Built(WebGpu(buffers, weights, variants, sizes, module, candidates), sides)


def _state_bytes(tensor: Tensor) -> int:
    size = int(str(gpu_bytes(tensor, {})))
    _check_largest("state", tensor.name, size)
    return max(size, LEAST_BINDING)


def _check_largest(op: str, name: str, size: int) -> None:
    if size > LARGEST:
        raise UnsupportedError(
            op,
            name,
            f"{size} bytes are more than the {LARGEST} that one WebGPU binding may have",
            'Convert for Wasm alone: targets=("wasm",).',
        )


class _Entry:
    """Puts the commands of a program together.

    Args:
        side: the program, and which side computes what.
        dispatches: those of the calls that the GPU computes, in order.
        fixed: where weights and states lie on the GPU.
        there: where tensors lie in the memory of the host steps.
        forms: how tensors lie on the GPU, where not as words.
        placement: where temporaries lie there.
    """

    def __init__(
        self,
        side: Sides,
        dispatches: Sequence[Rendering],
        fixed: Fixed,
        there: Mapping[Tensor, Dim],
        forms: Forms,
        placement: Placement,
    ) -> None:
        self._side, self._fixed, self._there, self._forms = side, fixed, there, forms
        self._pending = deque(dispatches)
        self._placement = placement
        self._done = 0  # host steps so far

    def build(self) -> GpuEntry:
        """The entry."""
        program = self._side.program
        commands: list[Command] = []
        where: list[int] = []  # the first command of each step
        within = {n for run in self._side.runs.values() for n in run.steps[1:]}
        for number, step in enumerate(program.steps):
            where.append(len(commands) - (number in within))
            match step:
                case KernelCall():
                    if number in self._side.runs:
                        commands.append(self._host(self._side.runs[number]))
                    while self._pending and self._pending[0].call is step:
                        commands.append(self._dispatch(self._pending.popleft()))
                case StepSet():
                    commands.append(Set(step.symbol, to_rpn(step.value)))
                case StepRead():
                    commands.append(self._read(step))
                case StepJump():
                    commands.append(Jump(step.to, to_rpn(step.unless)))
        where.append(len(commands))
        commands = [replace(c, to=where[c.to]) if isinstance(c, Jump) else c for c in commands]
        pauses = any(isinstance(c, Host) for c in commands)
        return GpuEntry(
            arenas=[to_rpn(b) for b in self._placement.arena_bytes],
            inputs=[self._interface(t) for t in program.inputs],
            outputs=[self._interface(t) for t in program.outputs],
            commands=commands,
            commit=where[program.commit] if pauses and program.commit is not None else None,
        )

    def _dispatch(self, made: Rendering) -> Dispatch:
        return Dispatch(
            step=made.call.name,
            shader=made.shader,
            bindings=[self._binding(t) for t in made.tensors],
            words=[to_rpn(w) for w in made.words],
            workgroups=[to_rpn(w) for w in made.workgroups],
        )

    def _host(self, run: Run) -> Host:
        first = self._done
        self._done += len(run.steps)
        return Host(first, self._done, self._transfers(run.before), self._transfers(run.after))

    def _transfers(self, tensors: Sequence[Tensor]) -> tuple[Transfer, ...]:
        made = []
        for tensor in tensors:
            kind, index, offset = self._place(tensor)
            address, elements = to_rpn(self._there[tensor]), to_rpn(tensor.elements)
            made.append(Transfer(kind, index, to_rpn(offset), address, elements, tensor.dtype))
        return tuple(made)

    def _read(self, step: StepRead) -> Read | Host:
        if step.tensor not in self._side.gpu:
            address = self._there[step.tensor] + step.offset * step.tensor.dtype.bytes
            known = Known(step.symbol, to_rpn(address), step.tensor.dtype)
            return Host(self._done, self._done, (), (), (known,))
        kind, index, offset = self._place(step.tensor)
        at = offset + step.offset * step.tensor.words * WORD
        return Read(step.symbol, Region(kind, index, to_rpn(at)), gpu_dtype(step.tensor, self._forms))

    def _binding(self, tensor: Tensor) -> Binding:
        kind, index, offset = self._place(tensor)
        size = maximum(gpu_bytes(tensor, self._forms), LEAST_BINDING)
        return Binding(kind, index, to_rpn(offset), to_rpn(size))

    def _place(self, tensor: Tensor) -> tuple[Literal["arena", "weights", "state"], int, Dim]:
        """Kind of buffer, its index, offset in bytes."""
        placement = self._placement
        return self._fixed.get(tensor) or ("arena", placement.arena_of[tensor], placement.offsets[tensor])

    def _interface(self, tensor: Tensor) -> GpuTensor | HostTensor:
        there = self._there.get(tensor) if tensor not in self._side.gpu or tensor.kind == "input" else None
        host = None if there is None else to_rpn(there)
        if tensor not in self._side.gpu:
            assert host is not None
            return HostTensor(host)
        _, arena, offset = self._place(tensor)
        return GpuTensor(arena, to_rpn(offset), gpu_dtype(tensor, self._forms), host)


def _place_weights(stored: Sequence[Stored], forms: Forms) -> tuple[list[GpuWeight], list[int]]:
    """Where weights lie, in buffers that every device binds; a larger weight has a buffer of its own."""
    weights: list[GpuWeight] = []
    buffers: list[int] = []
    for item in stored:
        size = weight_bytes(item.tensor, forms)
        if not buffers or buffers[-1] + size > BINDING_LIMIT:
            buffers.append(0)
        weights.append(GpuWeight(item.index, len(buffers) - 1, buffers[-1], gpu_dtype(item.tensor, forms)))
        end = align(buffers[-1] + max(size, LEAST_BINDING), ALIGNMENT)
        assert isinstance(end, int)
        buffers[-1] = end
    return weights, buffers


def weight_bytes(tensor: Tensor, forms: Forms) -> int:
    """The bytes of a weight on the GPU. Raises UnsupportedError where they are too many for a binding."""
    size = int(str(gpu_bytes(tensor, forms)))
    _check_largest("constant", tensor.name, size)
    return size


def _join(rendered: Rendered) -> tuple[bytes, list[Shader]]:
    """All shaders as one text, and where each lies in it."""
    text, shaders = bytearray(), list[Shader]()
    for shader in rendered.shaders:
        text += f"// ---- {shader.name}\n".encode()
        code = shader.code.encode()
        shaders.append(Shader(shader.name, len(text), len(code), list(shader.access), shader.words))
        text += code + b"\n"
    return bytes(text), shaders


def dispatches(target: WebGpu | None) -> int:
    """The most dispatches that runs of all entries can have; 0 without the target.

    Several of one step are forms of a kernel, of which the sizes leave one. Where sizes choose whether
    attention is split, both ways count.
    """
    if target is None:
        return 0
    entries = target.variants[0].entries
    return sum(len({c.step for c in e.commands if isinstance(c, Dispatch)}) for e in entries)
