"""Checks what the WebGPU target of a pack says: buffers, shaders, commands, and steps on the host."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pyruntime.errors import InputError, MemoryLimitError
from pyruntime.ir.dtypes import DType
from pyruntime.pack.checks import (
    apart,
    distinct,
    index,
    initials,
    known,
    module,
    places,
    same_length,
    variants,
    wrong,
)
from pyruntime.pack.expressions import Expression
from pyruntime.pack.program import bind
from pyruntime.pack.schema import Entry, Manifest, Spec, StoredTensor
from pyruntime.pack.targets import (
    ALIGNMENT,
    GPU_DTYPES,
    GPU_WORDS,
    INFINITY_BITS,
    Command,
    Copy,
    Dispatch,
    Fill,
    GpuEntry,
    GpuTensor,
    GpuVariant,
    Host,
    HostTensor,
    Jump,
    Read,
    Region,
    Set,
    Shader,
    Transfer,
    Wasm,
    WebGpu,
    gpu_bytes,
)

DEFAULT_STORAGE_BUFFERS = 8
STORAGE_BUFFERS_LIMIT = "maxStorageBuffersPerShaderStage"


def webgpu(target: WebGpu, manifest: Manifest, path: str) -> None:
    """Raise PackError where the WebGPU target contradicts itself or the manifest."""
    _gpu_weights(target, manifest.weights.tensors, path)
    _gpu_state(target, manifest, path)
    if target.host is not None:
        if "host" not in manifest.requires:
            raise wrong("requires", "a pack with steps on the host requires 'host'")
        places(module(target.host, manifest, f"{path}.host"), f"{path}.host")
        if len(target.host.variants) != 1:
            raise wrong(f"{path}.host.variants", "expected one")
    for v in range(len(target.variants)):
        gpu_variant(target, v, manifest, f"{path}.variants[{v}]")
    variants([[*v.requires, *v.limits] for v in target.variants], path)
    for i, tuned in enumerate(target.tuned):
        if not (tuned.device or (tuned.vendor and tuned.architecture)):
            raise wrong(f"{path}.tuned[{i}]", "neither a device nor vendor and architecture are named")


def gpu_variant(target: WebGpu, number: int, manifest: Manifest, path: str) -> None:
    """Raise PackError where a variant of the WebGPU target contradicts itself or the manifest."""
    variant = target.variants[number]
    _shaders(variant, path)
    same_length(variant.entries, manifest.entries, f"{path}.entries", "the pack")
    for i, (program, spec) in enumerate(zip(variant.entries, manifest.entries, strict=True)):
        _program(program, spec, target, variant.shaders, f"{path}.entries[{i}]")
        _host(program, spec, target.host, i, f"{path}.entries[{i}]")
        if not spec.symbols and not any(isinstance(c, Jump) for c in program.commands):
            try:
                bind(target, number, i, spec, {})
            except (InputError, MemoryLimitError) as error:
                raise wrong(f"{path}.entries[{i}]", str(error)) from None


def _gpu_weights(target: WebGpu, tensors: Sequence[StoredTensor], path: str) -> None:
    spans: list[list[tuple[int, int, str]]] = [[] for _ in target.buffers]
    for i, weight in enumerate(target.weights):
        where = f"{path}.weights[{i}]"
        index(weight.tensor, tensors, f"{where}.tensor")
        index(weight.buffer, target.buffers, f"{where}.buffer")
        tensor = tensors[weight.tensor]
        _gpu_dtype(tensor.dtype, weight.dtype, f"{where}.dtype")
        end = weight.offset + gpu_bytes(tensor.elements, weight.dtype)
        if weight.offset % ALIGNMENT:
            raise wrong(f"{where}.offset", f"{weight.offset} is not a multiple of {ALIGNMENT}")
        if end > target.buffers[weight.buffer]:
            raise wrong(f"{where}.offset", f"{tensor.name!r} ends outside buffer {weight.buffer}")
        spans[weight.buffer].append((weight.offset, end, tensor.name))
    for i, size in enumerate(target.buffers):
        if size % 4:
            raise wrong(f"{path}.buffers[{i}]", f"{size} is not a multiple of 4")
        apart(spans[i], f"{path}.buffers[{i}]")


def _gpu_state(target: WebGpu, manifest: Manifest, path: str) -> None:
    same_length(target.state, manifest.state, f"{path}.state", "the pack")
    for i, (size, state) in enumerate(zip(target.state, manifest.state, strict=True)):
        where = f"{path}.state[{i}]"
        if state.dtype not in GPU_DTYPES:
            raise wrong(where, f"{state.dtype!r} does not exist on the GPU")
        if size % 4 or size < gpu_bytes(math.prod(state.shape), GPU_DTYPES[state.dtype]):
            raise wrong(where, f"{size} bytes for {state.name!r} of shape {list(state.shape)}")
    initials(manifest, {w.tensor: w.dtype for w in target.weights}, GPU_DTYPES.get)


def _gpu_dtype(dtype: DType, stored: str, path: str) -> None:
    expected = GPU_DTYPES.get(dtype)
    if expected is None:
        raise wrong(path, f"{dtype!r} does not exist on the GPU")
    if stored not in (expected, dtype.value, GPU_WORDS.get(dtype)):
        raise wrong(path, f"{dtype!r} is stored as {expected}, not {stored}")


def _shaders(variant: GpuVariant, path: str) -> None:
    most = variant.limits.get(STORAGE_BUFFERS_LIMIT, DEFAULT_STORAGE_BUFFERS)
    distinct((s.name for s in variant.shaders), f"{path}.shaders", "name")
    for i, shader in enumerate(variant.shaders):
        if shader.offset + shader.bytes > variant.bytes:
            raise wrong(f"{path}.shaders[{i}].offset", f"the shader ends outside {variant.file}")
        if len(shader.bindings) > most:
            raise wrong(
                f"{path}.shaders[{i}].bindings", f"{len(shader.bindings)} bindings, {most} are allowed"
            )


def _program(program: GpuEntry, spec: Entry, target: WebGpu, shaders: Sequence[Shader], path: str) -> None:
    declared = {s.name for s in spec.symbols}
    for i, size in enumerate(program.arenas):
        known(size, declared, f"{path}.arenas[{i}]")
    pairs: tuple[tuple[str, Sequence[GpuTensor | HostTensor], Sequence[Spec]], ...] = (
        ("inputs", program.inputs, spec.inputs),
        ("outputs", program.outputs, spec.outputs),
    )
    for label, held, specs in pairs:
        same_length(held, specs, f"{path}.{label}", f"entry {spec.name!r}")
        for i, (place, one) in enumerate(zip(held, specs, strict=True)):
            if place.host is not None:
                if target.host is None:
                    raise wrong(f"{path}.{label}[{i}].host", "there are no host steps")
                known(place.host, declared, f"{path}.{label}[{i}].host")
            if isinstance(place, GpuTensor):
                index(place.arena, program.arenas, f"{path}.{label}[{i}].arena")
                known(place.offset, declared, f"{path}.{label}[{i}].offset")
                _gpu_dtype(one.dtype, place.dtype, f"{path}.{label}[{i}].dtype")
    buffers = {"arena": program.arenas, "weights": target.buffers, "state": target.state}
    own = _own(program)
    for i, command in enumerate(program.commands):
        where = f"{path}.commands[{i}]"
        for expression in _expressions(command):
            known(expression, declared | own, where)
        for region in _regions(command):
            index(region.index, buffers[region.kind], where)
            if region.kind == "state" and region.index not in {c.state for c in spec.state}:
                raise wrong(where, f"state {region.index} is not one of the entry's")
        match command:
            case Dispatch():
                _dispatch(command, target, shaders, where)
            case Copy() | Fill():
                _transfer(command, where)
            case Set() | Read():
                if command.symbol in declared:
                    raise wrong(f"{where}.symbol", f"{command.symbol!r} is bound by an input")
                if isinstance(command, Read) and command.source.kind == "weights":
                    raise wrong(f"{where}.from", "weights are known")
            case Jump():
                if command.to > len(program.commands):
                    raise wrong(f"{where}.to", f"{command.to} is past the end of {len(program.commands)}")


def _own(program: GpuEntry) -> set[str]:
    """The symbols that commands set."""
    told = {k.symbol for c in program.commands if isinstance(c, Host) for k in c.reads}
    return told | {c.symbol for c in program.commands if isinstance(c, (Set, Read))}


def _host(program: GpuEntry, spec: Entry, host: Wasm | None, number: int, path: str) -> None:
    """Commands of the host, against its module."""
    bound = {s.name for s in spec.symbols}
    if program.commit is not None:
        index(program.commit, program.commands, f"{path}.commit")
    if host is not None:
        for name in host.entries[number].symbols or ():
            known(name, bound | _own(program), f"targets.webgpu.host.entries[{number}].symbols")
    for i, command in enumerate(program.commands):
        if not isinstance(command, Host):
            continue
        where = f"{path}.commands[{i}]"
        if host is None:
            raise wrong(where, "there are no host steps")
        if not command.first <= command.last <= len(host.entries[number].steps):
            raise wrong(where, f"there are no steps {command.first} to {command.last}")
        for transfer in (*command.inputs, *command.outputs):
            if transfer.kind == "weights" or transfer.dtype not in GPU_DTYPES:
                raise wrong(where, f"{transfer.dtype!r} of {transfer.kind} is never transferred")
        for told in command.reads:
            if told.symbol in bound:
                raise wrong(where, f"{told.symbol!r} is bound by an input")
            if not (told.dtype.is_integer or told.dtype is DType.BOOL):
                raise wrong(where, f"{told.dtype!r} is no integer")


def _transfer(command: Copy | Fill, path: str) -> None:
    if command.target.kind == "weights":
        raise wrong(f"{path}.to", "weights are never written")
    if isinstance(command, Copy) and _buffer(command.source) == _buffer(command.target):
        raise wrong(path, "a copy within one buffer")


def _regions(command: Command) -> Sequence[Region]:
    match command:
        case Dispatch():
            return command.bindings
        case Copy():
            return (command.source, command.target)
        case Fill():
            return (command.target,)
        case Read():
            return (command.source,)
        case Host():
            return (*command.inputs, *command.outputs)
        case Set() | Jump():
            return ()


def _buffer(region: Region) -> tuple[str, int]:
    return region.kind, region.index


def _expressions(command: Command) -> list[Expression]:
    found = [r.offset for r in _regions(command)]
    match command:
        case Dispatch():
            return [*found, *(b.bytes for b in command.bindings), *command.words, *command.workgroups]
        case Copy() | Fill():
            return [*found, command.bytes]
        case Set():
            return [command.value]
        case Jump():
            return [command.unless]
        case Read():
            return found
        case Host():
            transfers: list[Transfer] = [*command.inputs, *command.outputs]
            sizes = [d for t in transfers for d in (t.address, t.elements)]
            return [*found, *sizes, *(k.address for k in command.reads)]


def _dispatch(command: Dispatch, target: WebGpu, shaders: Sequence[Shader], path: str) -> None:
    index(command.shader, shaders, f"{path}.shader")
    shader = shaders[command.shader]
    same_length(command.bindings, shader.bindings, f"{path}.bindings", f"shader {shader.name!r}")
    if len(command.words) != shader.words or command.words[0] != INFINITY_BITS:
        raise wrong(f"{path}.words", f"expected {shader.words}, the first of them {INFINITY_BITS}")
    access: dict[tuple[str, int], str] = {}
    for i, (binding, kind) in enumerate(zip(command.bindings, shader.bindings, strict=True)):
        where = f"{path}.bindings[{i}]"
        if access.setdefault(_buffer(binding), kind) != kind:
            raise wrong(where, f"{binding.kind} {binding.index} is bound both as read and as read_write")
        if binding.kind == "weights":
            _weight_binding(binding.offset, binding.bytes, target.buffers[binding.index], kind, where)


def _weight_binding(offset: Expression, size: Expression, available: int, access: str, path: str) -> None:
    if access != "read":
        raise wrong(path, "weights are never written")
    if not isinstance(offset, int) or not isinstance(size, int):
        raise wrong(path, "the place of a weight is known")
    if offset < 0 or offset % ALIGNMENT or size <= 0 or size % 4 or offset + size > available:
        raise wrong(path, f"bytes {offset} to {offset + size} of a buffer of {available}")
