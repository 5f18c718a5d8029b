"""The WebGPU part of a pack: arenas, shaders and the command list."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pyruntime_shaders.emit import Dispatch as Rendering
from pyruntime_shaders.emit import Rendered, render_programs
from pyruntime_shaders.printer import storage_type

from pyruntime.errors import UnsupportedError
from pyruntime.ir.dims import Dim, align, maximum, to_rpn
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import KernelCall, Tensor
from pyruntime.ir.program import Jump as StepJump
from pyruntime.ir.program import Placement, Program
from pyruntime.ir.program import Read as StepRead
from pyruntime.ir.program import Set as StepSet
from pyruntime.pack.schema import (
    Binding,
    Command,
    Dispatch,
    GpuEntry,
    GpuTensor,
    GpuVariant,
    GpuWeight,
    Jump,
    Read,
    Region,
    Set,
    Shader,
    WebGpu,
)
from pyruntime.pack.writer import PackWriter
from pyruntime_converter.memory import plan_coloured

if TYPE_CHECKING:
    from pyruntime_converter.build import Stored
    from pyruntime_converter.state import PackStates

ALIGNMENT = 256  # minStorageBufferOffsetAlignment
BINDING_LIMIT = 128 << 20  # maxStorageBufferBindingSize by default
WORD = 4
LEAST_BINDING = 16  # a binding holds at least one element of the shader's type, vec4 at most
# where weights and states lie: kind of buffer, its index, offset
Place = tuple[Literal["weights", "state"], int, int]
Fixed = Mapping[Tensor, Place]
_NAMES = {"f32": "float32", "i32": "int32", "u32": "uint32"}


def gpu_dtype(dtype: DType) -> str:
    """The type that takes dtype's place on the GPU, as packs name it."""
    return _NAMES[storage_type(dtype)]


def build(
    programs: Sequence[Program], stored: Sequence[Stored], states: PackStates, pack: PackWriter
) -> WebGpu:
    """Render the entries, write their shaders to pack, and describe them. Raises UnsupportedError."""
    rendered = render_programs(programs)
    weights, buffers = _place_weights(stored)
    text, shaders = _join(rendered)
    written = pack.add_file("shaders.base.wgsl", text)
    fixed: dict[Tensor, Place] = {
        s.tensor: ("weights", w.buffer, w.offset) for s, w in zip(stored, weights, strict=True)
    }
    fixed |= {t: ("state", number, 0) for t, number in states.number.items()}
    entries = [_entry(p, d, fixed) for p, d in zip(programs, rendered.entries, strict=True)]
    variant = GpuVariant(
        requires=(),
        limits={},
        file=written.file,
        bytes=written.bytes,
        sha256=written.sha256,
        shaders=shaders,
        entries=entries,
    )
    sizes = tuple(_state_bytes(s.tensor) for s in states.states)
    return WebGpu(buffers=buffers, weights=weights, variants=(variant,), state=sizes)


def _state_bytes(tensor: Tensor) -> int:
    size = int(str(tensor.elements)) * WORD
    if size > BINDING_LIMIT:
        raise UnsupportedError(
            "state", tensor.name, f"{size} bytes are more than one WebGPU binding may have"
        )
    return max(size, LEAST_BINDING)


def _entry(program: Program, dispatches: Sequence[Rendering], fixed: Fixed) -> GpuEntry:
    placement = plan_coloured(program)
    pending = deque(dispatches)
    commands: list[Command] = []
    where: list[int] = []  # the first command of each step
    for step in program.steps:
        where.append(len(commands))
        match step:
            case KernelCall():
                while pending and pending[0].call is step:
                    commands.append(_dispatch(pending.popleft(), placement, fixed))
            case StepSet():
                commands.append(Set(step.symbol, to_rpn(step.value)))
            case StepRead():
                commands.append(_read(step, placement, fixed))
            case StepJump():
                commands.append(Jump(step.to, to_rpn(step.unless)))
    where.append(len(commands))
    commands = [replace(c, to=where[c.to]) if isinstance(c, Jump) else c for c in commands]
    return GpuEntry(
        arenas=[to_rpn(b) for b in placement.arena_bytes],
        inputs=[_interface(t, placement) for t in program.inputs],
        outputs=[_interface(t, placement) for t in program.outputs],
        commands=commands,
    )


def _dispatch(made: Rendering, placement: Placement, fixed: Fixed) -> Dispatch:
    return Dispatch(
        step=made.call.name,
        shader=made.shader,
        bindings=[_binding(t, placement, fixed) for t in made.tensors],
        words=[to_rpn(w) for w in made.words],
        workgroups=[to_rpn(w) for w in made.workgroups],
    )


def _read(step: StepRead, placement: Placement, fixed: Fixed) -> Read:
    kind, index, offset = _place(step.tensor, placement, fixed)
    dtype: Literal["int32", "uint32"] = "int32" if gpu_dtype(step.tensor.dtype) == "int32" else "uint32"
    return Read(step.symbol, Region(kind, index, to_rpn(offset + step.offset * WORD)), dtype)


def _place_weights(stored: Sequence[Stored]) -> tuple[list[GpuWeight], list[int]]:
    weights: list[GpuWeight] = []
    buffers: list[int] = []
    for item in stored:
        size = int(str(item.tensor.elements)) * WORD
        if size > BINDING_LIMIT:
            origin = item.tensor.name
            raise UnsupportedError(
                "constant",
                origin,
                f"{size} bytes are more than the {BINDING_LIMIT} that one WebGPU binding may have",
                'Convert for Wasm alone: targets=("wasm",).',
            )
        if not buffers or buffers[-1] + size > BINDING_LIMIT:
            buffers.append(0)
        weights.append(GpuWeight(item.index, len(buffers) - 1, buffers[-1], gpu_dtype(item.tensor.dtype)))
        end = align(buffers[-1] + max(size, LEAST_BINDING), ALIGNMENT)
        assert isinstance(end, int)
        buffers[-1] = end
    return weights, buffers


def _join(rendered: Rendered) -> tuple[bytes, list[Shader]]:
    """All shaders as one text, and where each lies in it."""
    text, shaders = bytearray(), list[Shader]()
    for shader in rendered.shaders:
        text += f"// ---- {shader.name}\n".encode()
        code = shader.code.encode()
        shaders.append(Shader(shader.name, len(text), len(code), list(shader.access), shader.words))
        text += code + b"\n"
    return bytes(text), shaders


def _binding(tensor: Tensor, placement: Placement, fixed: Fixed) -> Binding:
    kind, index, offset = _place(tensor, placement, fixed)
    return Binding(kind, index, to_rpn(offset), to_rpn(maximum(tensor.elements * WORD, LEAST_BINDING)))


def _place(
    tensor: Tensor, placement: Placement, fixed: Fixed
) -> tuple[Literal["arena", "weights", "state"], int, Dim]:
    """Kind of buffer, its index, offset in bytes."""
    return fixed.get(tensor) or ("arena", placement.arena_of[tensor], placement.offsets[tensor])


def _interface(tensor: Tensor, placement: Placement) -> GpuTensor:
    return GpuTensor(placement.arena_of[tensor], to_rpn(placement.offsets[tensor]), gpu_dtype(tensor.dtype))


def dispatches(target: WebGpu | None) -> int:
    """The most dispatches that runs of all entries can have; 0 without the target.

    Several of one step are forms of a kernel, of which the sizes leave one.
    """
    if target is None:
        return 0
    entries = target.variants[0].entries
    return sum(len({c.step for c in e.commands if isinstance(c, Dispatch)}) for e in entries)


def notes(programs: Sequence[Program]) -> tuple[str, ...]:
    """What a user of WebGPU should know of these programs."""
    ends = [t for p in programs for t in (*p.inputs, *p.outputs, *(s.tensor for s in p.states))]
    wide = dict.fromkeys(t.name for t in ends if t.dtype in (DType.I64, DType.U64))
    if not wide:
        return ()
    return (
        f"webgpu: 64-bit integers of {', '.join(wide)} are 32-bit on the device; larger values are refused",
    )
