"""Checks what the fields of a pack say together, so that a runtime may rely on them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from pyruntime.errors import InputError, MemoryLimitError, PackError, PackVersionError
from pyruntime.ir.dtypes import PLAIN, DType
from pyruntime.pack.decode import MAX_INTEGER
from pyruntime.pack.expressions import Expression, symbols
from pyruntime.pack.program import bind
from pyruntime.pack.schema import (
    ABI,
    ALIGNMENT,
    CHUNK,
    GPU_DTYPES,
    INFINITY_BITS,
    Command,
    Copy,
    Dispatch,
    Entry,
    Fill,
    GpuEntry,
    GpuTensor,
    GpuVariant,
    Jump,
    Manifest,
    Read,
    Region,
    Set,
    Shader,
    Spec,
    State,
    StoredTensor,
    Symbol,
    Wasm,
    WebGpu,
    Weights,
)

DEFAULT_STORAGE_BUFFERS = 8
STORAGE_BUFFERS_LIMIT = "maxStorageBuffersPerShaderStage"
_LARGEST = {DType.F16: 65504.0, DType.F32: 3.4028234663852886e38, DType.F64: math.inf}
# what a host can turn stored elements into while it copies them to a Wasm memory
WASM_CONVERSIONS = {(DType.F16, DType.F32)} | {(d, d) for d in PLAIN}


def validate(manifest: Manifest) -> None:
    """Raise PackError with the path where the manifest contradicts itself, PackVersionError for a newer ABI.

    Expressions over symbols are checked for their symbols here, and for their values when they are bound.
    """
    _distinct((e.name for e in manifest.entries), "entries", "name")
    for i, entry in enumerate(manifest.entries):
        _entry(entry, manifest.state, f"entries[{i}]")
        _carried(entry, manifest.state, f"entries[{i}]")
        _lists(entry, f"entries[{i}]")
    if any(entry.sizes for entry in manifest.entries) and "sizes" not in manifest.requires:
        raise _wrong("requires", "a pack with sizes that data decide requires 'sizes'")
    if any(entry.lists for entry in manifest.entries) and "lists" not in manifest.requires:
        raise _wrong("requires", "a pack with lists of tensors requires 'lists'")
    _weights(manifest.weights, "weights")
    _distinct((a.name for a in manifest.assets), "assets", "name")
    _state(manifest, "state")
    if manifest.targets.wasm is None and manifest.targets.webgpu is None:
        raise _wrong("targets", "there is neither wasm nor webgpu")
    if manifest.targets.wasm is not None:
        _wasm(manifest.targets.wasm, manifest, "targets.wasm")
    if manifest.targets.webgpu is not None:
        _webgpu(manifest.targets.webgpu, manifest, "targets.webgpu")


def _wrong(path: str, message: str) -> PackError:
    return PackError(f"pack.json: {path}: {message}")


def _distinct(names: Iterable[str], path: str, what: str) -> None:
    seen: set[str] = set()
    for i, name in enumerate(names):
        if name in seen:
            raise _wrong(f"{path}[{i}].{what}", f"{name!r} is there twice")
        seen.add(name)


def _index(index: int, items: Sequence[object], path: str) -> None:
    if index >= len(items):
        raise _wrong(path, f"{index} is past the end of {len(items)}")


def _same_length(items: Sequence[object], others: Sequence[object], path: str, what: str) -> None:
    if len(items) != len(others):
        raise _wrong(path, f"expected {len(others)} as {what} has, got {len(items)}")


def _known(expression: Expression, declared: set[str], path: str) -> None:
    unknown = sorted(symbols(expression) - declared)
    if unknown:
        raise _wrong(path, f"symbol {unknown[0]!r} is not one of the entry's")


def _apart(spans: Iterable[tuple[int, int, str]], path: str) -> None:
    """No two of (begin, end, name) share a byte."""
    ordered = sorted(s for s in spans if s[0] < s[1])
    for (_, end, one), (begin, _, other) in itertools.pairwise(ordered):
        if begin < end:
            raise _wrong(path, f"{one!r} and {other!r} overlap")


def _entry(entry: Entry, states: Sequence[State], path: str) -> None:
    declared = {s.name for s in entry.symbols}
    _distinct((s.name for s in entry.symbols), f"{path}.symbols", "name")
    for i, found in enumerate(entry.sizes):
        _known(found.most, declared, f"{path}.sizes[{i}].most")
    sizes = [s.name for s in entry.sizes]
    _distinct([*(s.name for s in entry.symbols), *sizes], f"{path}.sizes", "name")
    told = declared.union(sizes)
    for label, specs, named in (("inputs", entry.inputs, declared), ("outputs", entry.outputs, told)):
        _distinct((s.name for s in specs), f"{path}.{label}", "name")
        for i, spec in enumerate(specs):
            for axis, dim in enumerate(spec.shape):
                _known(dim, named, f"{path}.{label}[{i}].shape[{axis}]")
                if isinstance(dim, int) and dim < 0:
                    raise _wrong(f"{path}.{label}[{i}].shape[{axis}]", f"{dim} is negative")
            if spec.encodes is not None and spec.encodes.code is not spec.dtype:
                raise _wrong(f"{path}.{label}[{i}].encodes", f"{spec.dtype!r} does not hold {spec.encodes!r}")
            if spec.default is not None and (label == "outputs" or not _holds(spec.dtype, spec.default)):
                raise _wrong(
                    f"{path}.{label}[{i}].default", f"{spec.default} is no {spec.dtype!r} of an input"
                )
            if spec.within is not None:
                _within(spec, spec.within, label == "inputs", f"{path}.{label}[{i}].within")
    for i, symbol in enumerate(entry.symbols):
        where = f"{path}.symbols[{i}]"
        if (symbol.input is None) == (symbol.state is None):
            raise _wrong(where, "expected one of input and state")
        if symbol.input is not None:
            _index(symbol.input, entry.inputs, f"{where}.input")
            _symbol(symbol, entry.inputs[symbol.input], where)
        elif symbol.state is not None:
            _index(symbol.state, states, f"{where}.state")
            if states[symbol.state].axis is None or symbol.state not in {c.state for c in entry.state}:
                raise _wrong(f"{where}.state", "that is no state of the entry that grows")
    for i, constraint in enumerate(entry.constraints):
        _known(constraint.value, declared, f"{path}.constraints[{i}].value")
    _distinct((c.step for c in entry.costs), f"{path}.costs", "step")
    for i, cost in enumerate(entry.costs):
        for name, value in (("operations", cost.operations), ("bytes", cost.bytes)):
            _known(value, declared, f"{path}.costs[{i}].{name}")


def _symbol(symbol: Symbol, spec: Spec, path: str) -> None:
    """Bound by a size that is the symbol, or by an element of a small integer or bool input."""
    if (symbol.axis is None) == (symbol.element is None):
        raise _wrong(path, "expected one of axis and element")
    if symbol.axis is not None:
        _index(symbol.axis, spec.shape, f"{path}.axis")
        if spec.shape[symbol.axis] != symbol.name:
            raise _wrong(path, f"that size is {spec.shape[symbol.axis]!r}, not {symbol.name!r}")
        if spec.default is not None:
            raise _wrong(f"{path}.input", "an input that need not be fed has no size of its own")
        return
    sizes = [d for d in spec.shape if isinstance(d, int)]
    if spec.dtype.is_float or len(sizes) != len(spec.shape):
        raise _wrong(f"{path}.element", f"{spec.name!r} is not an integer or bool input of known size")
    assert symbol.element is not None
    if symbol.element >= math.prod(sizes):
        raise _wrong(f"{path}.element", f"{symbol.element} is past the end of {math.prod(sizes)}")


def _lists(entry: Entry, path: str) -> None:
    """Lists have names of their own, and share no tensor."""
    pairs: tuple[tuple[Literal["inputs", "outputs"], Sequence[Spec]], ...] = (
        ("inputs", entry.inputs),
        ("outputs", entry.outputs),
    )
    for of, specs in pairs:
        end = 0
        names = {s.name for s in specs}
        for each in entry.lists_of(of):
            where = f"{path}.lists: {each.name!r} of {of}"
            if each.name in names:
                raise _wrong(where, "the name is there twice")
            names.add(each.name)
            if not end <= each.first <= len(specs) - (each.length or 0):
                raise _wrong(where, f"it does not lie between {end} and {len(specs)}")
            end = each.first + (each.length or 0)


def _within(spec: Spec, within: Sequence[int], fed: bool, path: str) -> None:
    """What an integer input takes, its default included."""
    low, high = within
    holds = not spec.dtype.is_float and _holds(spec.dtype, low) and _holds(spec.dtype, high)
    if not fed or not holds or not low <= (low if spec.default is None else spec.default) <= high:
        raise _wrong(path, f"{low} to {high} are no integers of an input of {spec.dtype!r}")


def _holds(dtype: DType, number: float | int) -> bool:
    """Whether a default is a value of dtype."""
    if dtype.is_float:
        return abs(number) <= _LARGEST[dtype]
    low = 0 if dtype is DType.BOOL or dtype.is_unsigned else -(1 << (dtype.bits - 1))
    high = 1 if dtype is DType.BOOL else low + (1 << dtype.bits) - 1
    return isinstance(number, int) and low <= number <= high


def _carried(entry: Entry, states: Sequence[State], path: str) -> None:
    """What an entry says of the states that it uses."""
    declared = {s.name for s in entry.symbols}
    seen: set[int] = set()
    for i, carried in enumerate(entry.state):
        where = f"{path}.state[{i}]"
        _index(carried.state, states, f"{where}.state")
        if carried.state in seen:
            raise _wrong(f"{where}.state", f"{carried.state} is there twice")
        seen.add(carried.state)
        for name, dim in (("length", carried.length), ("next", carried.next)):
            if (dim is None) != (states[carried.state].axis is None):
                raise _wrong(f"{where}.{name}", "for a state that grows, and for no other")
            if dim is not None:
                _known(dim, declared, f"{where}.{name}")


def _state(manifest: Manifest, path: str) -> None:
    if manifest.state and "state" not in manifest.requires:
        raise _wrong("requires", "a pack with state requires 'state'")
    _distinct((s.name for s in manifest.state), path, "name")
    tensors = manifest.weights.tensors
    for i, state in enumerate(manifest.state):
        where = f"{path}[{i}]"
        if math.prod(state.shape) * state.dtype.bytes > MAX_INTEGER:
            raise _wrong(f"{where}.shape", "more bytes than can be counted")
        if state.axis is not None:
            _index(state.axis, state.shape, f"{where}.axis")
        if state.initial is not None:
            _index(state.initial, tensors, f"{where}.initial")
            if state.axis is not None:
                raise _wrong(f"{where}.initial", "a state that grows begins empty")
            elements = tensors[state.initial].elements
            if elements != math.prod(state.shape):
                raise _wrong(f"{where}.initial", f"{elements} elements for shape {list(state.shape)}")


def _initials(manifest: Manifest, placed: Mapping[int, object], dtype_of: Callable[[DType], object]) -> None:
    """The weights that states begin as must be on the target, as the states are stored there."""
    for i, state in enumerate(manifest.state):
        if state.initial is not None and placed.get(state.initial) != dtype_of(state.dtype):
            raise _wrong(f"state[{i}].initial", "that weight is not on the device as this dtype")


def _weights(weights: Weights, path: str) -> None:
    _distinct((s.file for s in weights.shards), f"{path}.shards", "file")
    _distinct((t.name for t in weights.tensors), f"{path}.tensors", "name")
    for i, shard in enumerate(weights.shards):
        where = f"{path}.shards[{i}]"
        if not 8 <= shard.data <= shard.bytes:
            raise _wrong(f"{where}.data", f"{shard.data} is outside the file's {shard.bytes} bytes")
        if len(shard.chunks) != math.ceil(shard.bytes / CHUNK):
            raise _wrong(f"{where}.chunks", f"{len(shard.chunks)} chunks for {shard.bytes} bytes")
    for i, tensor in enumerate(weights.tensors):
        where = f"{path}.tensors[{i}]"
        _index(tensor.shard, weights.shards, f"{where}.shard")
        shard = weights.shards[tensor.shard]
        if tensor.bytes != tensor.elements * tensor.dtype.bytes:
            raise _wrong(f"{where}.bytes", f"{tensor.bytes} for {tensor.elements} of {tensor.dtype!r}")
        if tensor.offset + tensor.bytes > shard.bytes - shard.data:
            raise _wrong(f"{where}.offset", f"the tensor ends outside shard {shard.file}")
    for i in range(len(weights.shards)):
        held = (t for t in weights.tensors if t.shard == i)
        _apart(((t.offset, t.offset + t.bytes, t.name) for t in held), f"{path}.shards[{i}]")


def _variants(requirements: Sequence[Sequence[str]], path: str) -> None:
    if requirements[-1]:
        raise _wrong(
            f"{path}.variants[{len(requirements) - 1}].requires", "the last variant must require nothing"
        )


def _wasm(target: Wasm, manifest: Manifest, path: str) -> None:
    if target.abi > ABI or target.pointer_bits != 32:
        raise PackVersionError(
            f"pack.json: {path}: ABI {target.abi} with {target.pointer_bits}-bit pointers; this version of"
            f" pyruntime knows ABI {ABI} with 32; update pyruntime"
        )
    if target.abi != ABI:
        raise _wrong(f"{path}.abi", f"{target.abi} was never released")
    _same_length(target.entries, manifest.entries, f"{path}.entries", "the pack")
    for i, (entry, spec) in enumerate(zip(target.entries, manifest.entries, strict=True)):
        symbols = {s.name for s in spec.symbols}
        _known(entry.bytes, symbols, f"{path}.entries[{i}].bytes")
        _known(entry.thread_bytes, symbols, f"{path}.entries[{i}].thread_bytes")
        if entry.commit is not None:
            _index(entry.commit, entry.steps, f"{path}.entries[{i}].commit")
    spans = []
    for i, weight in enumerate(target.weights):
        where = f"{path}.weights[{i}]"
        _index(weight.tensor, manifest.weights.tensors, f"{where}.tensor")
        tensor = manifest.weights.tensors[weight.tensor]
        if (tensor.dtype, weight.dtype) not in WASM_CONVERSIONS:
            raise _wrong(f"{where}.dtype", f"{tensor.dtype!r} cannot be stored as {weight.dtype!r}")
        if weight.address % weight.dtype.bytes:
            raise _wrong(f"{where}.address", f"{weight.address} is not aligned for {weight.dtype!r}")
        spans.append((weight.address, weight.address + tensor.elements * weight.dtype.bytes, tensor.name))
    _same_length(target.state, manifest.state, f"{path}.state", "the pack")
    for i, (address, state) in enumerate(zip(target.state, manifest.state, strict=True)):
        if address % state.dtype.bytes:
            raise _wrong(f"{path}.state[{i}]", f"{address} is not aligned for {state.dtype!r}")
        spans.append((address, address + math.prod(state.shape) * state.dtype.bytes, state.name))
    _initials(manifest, {w.tensor: w.dtype for w in target.weights}, lambda dtype: dtype)
    _apart(spans, f"{path}.weights")
    if max((s[1] for s in spans), default=0) > 2**32:
        raise _wrong(f"{path}.weights", "they end past 4 GiB")
    _variants([v.requires for v in target.variants], path)


def _webgpu(target: WebGpu, manifest: Manifest, path: str) -> None:
    _gpu_weights(target, manifest.weights.tensors, path)
    _gpu_state(target, manifest, path)
    for v, variant in enumerate(target.variants):
        where = f"{path}.variants[{v}]"
        _shaders(variant, where)
        _same_length(variant.entries, manifest.entries, f"{where}.entries", "the pack")
        for i, (program, spec) in enumerate(zip(variant.entries, manifest.entries, strict=True)):
            _program(program, spec, target, variant.shaders, f"{where}.entries[{i}]")
            if not spec.symbols and not any(isinstance(c, Jump) for c in program.commands):
                try:
                    bind(target, v, i, spec, {})
                except (InputError, MemoryLimitError) as error:
                    raise _wrong(f"{where}.entries[{i}]", str(error)) from None
    _variants([[*v.requires, *v.limits] for v in target.variants], path)


def _gpu_weights(target: WebGpu, tensors: Sequence[StoredTensor], path: str) -> None:
    spans: list[list[tuple[int, int, str]]] = [[] for _ in target.buffers]
    for i, weight in enumerate(target.weights):
        where = f"{path}.weights[{i}]"
        _index(weight.tensor, tensors, f"{where}.tensor")
        _index(weight.buffer, target.buffers, f"{where}.buffer")
        tensor = tensors[weight.tensor]
        _gpu_dtype(tensor.dtype, weight.dtype, f"{where}.dtype")
        end = weight.offset + tensor.elements * 4
        if weight.offset % ALIGNMENT:
            raise _wrong(f"{where}.offset", f"{weight.offset} is not a multiple of {ALIGNMENT}")
        if end > target.buffers[weight.buffer]:
            raise _wrong(f"{where}.offset", f"{tensor.name!r} ends outside buffer {weight.buffer}")
        spans[weight.buffer].append((weight.offset, end, tensor.name))
    for i, size in enumerate(target.buffers):
        if size % 4:
            raise _wrong(f"{path}.buffers[{i}]", f"{size} is not a multiple of 4")
        _apart(spans[i], f"{path}.buffers[{i}]")


def _gpu_state(target: WebGpu, manifest: Manifest, path: str) -> None:
    _same_length(target.state, manifest.state, f"{path}.state", "the pack")
    for i, (size, state) in enumerate(zip(target.state, manifest.state, strict=True)):
        where = f"{path}.state[{i}]"
        if state.dtype not in GPU_DTYPES:
            raise _wrong(where, f"{state.dtype!r} does not exist on the GPU")
        if size % 4 or size < math.prod(state.shape) * 4:
            raise _wrong(where, f"{size} bytes for {state.name!r} of shape {list(state.shape)}")
    _initials(manifest, {w.tensor: w.dtype for w in target.weights}, GPU_DTYPES.get)


def _gpu_dtype(dtype: DType, stored: str, path: str) -> None:
    expected = GPU_DTYPES.get(dtype)
    if expected is None:
        raise _wrong(path, f"{dtype!r} does not exist on the GPU")
    if stored != expected:
        raise _wrong(path, f"{dtype!r} is stored as {expected}, not {stored}")


def _shaders(variant: GpuVariant, path: str) -> None:
    most = variant.limits.get(STORAGE_BUFFERS_LIMIT, DEFAULT_STORAGE_BUFFERS)
    _distinct((s.name for s in variant.shaders), f"{path}.shaders", "name")
    for i, shader in enumerate(variant.shaders):
        if shader.offset + shader.bytes > variant.bytes:
            raise _wrong(f"{path}.shaders[{i}].offset", f"the shader ends outside {variant.file}")
        if len(shader.bindings) > most:
            raise _wrong(
                f"{path}.shaders[{i}].bindings", f"{len(shader.bindings)} bindings, {most} are allowed"
            )


def _program(program: GpuEntry, spec: Entry, target: WebGpu, shaders: Sequence[Shader], path: str) -> None:
    declared = {s.name for s in spec.symbols}
    for i, size in enumerate(program.arenas):
        _known(size, declared, f"{path}.arenas[{i}]")
    pairs: tuple[tuple[str, Sequence[GpuTensor], Sequence[Spec]], ...] = (
        ("inputs", program.inputs, spec.inputs),
        ("outputs", program.outputs, spec.outputs),
    )
    for label, places, specs in pairs:
        _same_length(places, specs, f"{path}.{label}", f"entry {spec.name!r}")
        for i, (place, one) in enumerate(zip(places, specs, strict=True)):
            _index(place.arena, program.arenas, f"{path}.{label}[{i}].arena")
            _known(place.offset, declared, f"{path}.{label}[{i}].offset")
            _gpu_dtype(one.dtype, place.dtype, f"{path}.{label}[{i}].dtype")
    buffers = {"arena": program.arenas, "weights": target.buffers, "state": target.state}
    own = {c.symbol for c in program.commands if isinstance(c, (Set, Read))}
    for i, command in enumerate(program.commands):
        where = f"{path}.commands[{i}]"
        for expression in _expressions(command):
            _known(expression, declared | own, where)
        for region in _regions(command):
            _index(region.index, buffers[region.kind], where)
            if region.kind == "state" and region.index not in {c.state for c in spec.state}:
                raise _wrong(where, f"state {region.index} is not one of the entry's")
        match command:
            case Dispatch():
                _dispatch(command, target, shaders, where)
            case Copy() | Fill():
                _transfer(command, where)
            case Set() | Read():
                if command.symbol in declared:
                    raise _wrong(f"{where}.symbol", f"{command.symbol!r} is bound by an input")
                if isinstance(command, Read) and command.source.kind == "weights":
                    raise _wrong(f"{where}.from", "weights are known")
            case Jump():
                if command.to > len(program.commands):
                    raise _wrong(f"{where}.to", f"{command.to} is past the end of {len(program.commands)}")


def _transfer(command: Copy | Fill, path: str) -> None:
    if command.target.kind == "weights":
        raise _wrong(f"{path}.to", "weights are never written")
    if isinstance(command, Copy) and _buffer(command.source) == _buffer(command.target):
        raise _wrong(path, "a copy within one buffer")


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


def _dispatch(command: Dispatch, target: WebGpu, shaders: Sequence[Shader], path: str) -> None:
    _index(command.shader, shaders, f"{path}.shader")
    shader = shaders[command.shader]
    _same_length(command.bindings, shader.bindings, f"{path}.bindings", f"shader {shader.name!r}")
    if len(command.words) != shader.words or command.words[0] != INFINITY_BITS:
        raise _wrong(f"{path}.words", f"expected {shader.words}, the first of them {INFINITY_BITS}")
    access: dict[tuple[str, int], str] = {}
    for i, (binding, kind) in enumerate(zip(command.bindings, shader.bindings, strict=True)):
        where = f"{path}.bindings[{i}]"
        if access.setdefault(_buffer(binding), kind) != kind:
            raise _wrong(where, f"{binding.kind} {binding.index} is bound both as read and as read_write")
        if binding.kind == "weights":
            _weight_binding(binding.offset, binding.bytes, target.buffers[binding.index], kind, where)


def _weight_binding(offset: Expression, size: Expression, available: int, access: str, path: str) -> None:
    if access != "read":
        raise _wrong(path, "weights are never written")
    if not isinstance(offset, int) or not isinstance(size, int):
        raise _wrong(path, "the place of a weight is known")
    if offset < 0 or offset % ALIGNMENT or size <= 0 or size % 4 or offset + size > available:
        raise _wrong(path, f"bytes {offset} to {offset + size} of a buffer of {available}")
