"""Checks what the fields of a pack say together, so that a runtime may rely on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pyruntime.ir.dtypes import DType
from pyruntime.pack.checks import apart, distinct, index, initials, known, module, places, same_length, wrong
from pyruntime.pack.decode import MAX_INTEGER
from pyruntime.pack.schema import CHUNK, Entry, Manifest, Spec, State, Symbol, Weights
from pyruntime.pack.targets import Wasm
from pyruntime.pack.validate_webgpu import webgpu

_LARGEST = {DType.F16: 65504.0, DType.F32: 3.4028234663852886e38, DType.F64: math.inf}


def validate(manifest: Manifest) -> None:
    """Raise PackError with the path where the manifest contradicts itself, PackVersionError for a newer ABI.

    Expressions over symbols are checked for their symbols here, and for their values when they are bound.
    """
    distinct((e.name for e in manifest.entries), "entries", "name")
    for i, entry in enumerate(manifest.entries):
        _entry(entry, manifest.state, f"entries[{i}]")
        _carried(entry, manifest.state, f"entries[{i}]")
        _lists(entry, f"entries[{i}]")
    if any(entry.sizes for entry in manifest.entries) and "sizes" not in manifest.requires:
        raise wrong("requires", "a pack with sizes that data decide requires 'sizes'")
    if any(entry.lists for entry in manifest.entries) and "lists" not in manifest.requires:
        raise wrong("requires", "a pack with lists of tensors requires 'lists'")
    specs = [s for entry in manifest.entries for s in (*entry.inputs, *entry.outputs)]
    if any(s.encodes is DType.STRING for s in specs) and "strings" not in manifest.requires:
        raise wrong("requires", "a pack with strings requires 'strings'")
    _weights(manifest.weights, "weights")
    distinct((a.name for a in manifest.assets), "assets", "name")
    _state(manifest, "state")
    if manifest.targets.wasm is None and manifest.targets.webgpu is None:
        raise wrong("targets", "there is neither wasm nor webgpu")
    if manifest.targets.wasm is not None:
        _wasm(manifest.targets.wasm, manifest, "targets.wasm")
    if manifest.targets.webgpu is not None:
        webgpu(manifest.targets.webgpu, manifest, "targets.webgpu")


def _entry(entry: Entry, states: Sequence[State], path: str) -> None:
    declared = {s.name for s in entry.symbols}
    distinct((s.name for s in entry.symbols), f"{path}.symbols", "name")
    for i, found in enumerate(entry.sizes):
        known(found.most, declared, f"{path}.sizes[{i}].most")
    sizes = [s.name for s in entry.sizes]
    distinct([*(s.name for s in entry.symbols), *sizes], f"{path}.sizes", "name")
    told = declared.union(sizes)
    for label, specs, named in (("inputs", entry.inputs, declared), ("outputs", entry.outputs, told)):
        distinct((s.name for s in specs), f"{path}.{label}", "name")
        for i, spec in enumerate(specs):
            for axis, dim in enumerate(spec.shape):
                known(dim, named, f"{path}.{label}[{i}].shape[{axis}]")
                if isinstance(dim, int) and dim < 0:
                    raise wrong(f"{path}.{label}[{i}].shape[{axis}]", f"{dim} is negative")
            if spec.encodes is not None and spec.encodes.code is not spec.dtype:
                raise wrong(f"{path}.{label}[{i}].encodes", f"{spec.dtype!r} does not hold {spec.encodes!r}")
            if spec.encodes is DType.STRING and not spec.shape:
                raise wrong(f"{path}.{label}[{i}].shape", "strings have an axis of bytes")
            if spec.default is not None and (label == "outputs" or not _holds(spec.dtype, spec.default)):
                raise wrong(
                    f"{path}.{label}[{i}].default", f"{spec.default} is no {spec.dtype!r} of an input"
                )
            if spec.within is not None:
                _within(spec, spec.within, label == "inputs", f"{path}.{label}[{i}].within")
    for i, symbol in enumerate(entry.symbols):
        where = f"{path}.symbols[{i}]"
        if (symbol.input is None) == (symbol.state is None):
            raise wrong(where, "expected one of input and state")
        if symbol.input is not None:
            index(symbol.input, entry.inputs, f"{where}.input")
            _symbol(symbol, entry.inputs[symbol.input], where)
        elif symbol.state is not None:
            index(symbol.state, states, f"{where}.state")
            if states[symbol.state].axis is None or symbol.state not in {c.state for c in entry.state}:
                raise wrong(f"{where}.state", "that is no state of the entry that grows")
    for i, constraint in enumerate(entry.constraints):
        known(constraint.value, declared, f"{path}.constraints[{i}].value")
    distinct((c.step for c in entry.costs), f"{path}.costs", "step")
    for i, cost in enumerate(entry.costs):
        for name, value in (("operations", cost.operations), ("bytes", cost.bytes)):
            known(value, declared, f"{path}.costs[{i}].{name}")


def _symbol(symbol: Symbol, spec: Spec, path: str) -> None:
    """Bound by a size that is the symbol, or by an element of a small input: of floats by a part of it."""
    if (symbol.axis is None) == (symbol.element is None):
        raise wrong(path, "expected one of axis and element")
    floats = spec.dtype.is_float or spec.encodes is DType.BF16
    if (symbol.part is not None) != (symbol.element is not None and floats):
        raise wrong(f"{path}.part", "floats alone have parts")
    if symbol.axis is not None:
        index(symbol.axis, spec.shape, f"{path}.axis")
        if spec.shape[symbol.axis] != symbol.name:
            raise wrong(path, f"that size is {spec.shape[symbol.axis]!r}, not {symbol.name!r}")
        if spec.default is not None:
            raise wrong(f"{path}.input", "an input that need not be fed has no size of its own")
        return
    sizes = [d for d in spec.shape if isinstance(d, int)]
    if len(sizes) != len(spec.shape):
        raise wrong(f"{path}.element", f"{spec.name!r} is not an input of known size")
    assert symbol.element is not None
    if symbol.element >= math.prod(sizes):
        raise wrong(f"{path}.element", f"{symbol.element} is past the end of {math.prod(sizes)}")


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
                raise wrong(where, "the name is there twice")
            names.add(each.name)
            if not end <= each.first <= len(specs) - (each.length or 0):
                raise wrong(where, f"it does not lie between {end} and {len(specs)}")
            end = each.first + (each.length or 0)


def _within(spec: Spec, within: Sequence[int], fed: bool, path: str) -> None:
    """What an integer input takes, its default included."""
    low, high = within
    holds = not spec.dtype.is_float and _holds(spec.dtype, low) and _holds(spec.dtype, high)
    if not fed or not holds or not low <= (low if spec.default is None else spec.default) <= high:
        raise wrong(path, f"{low} to {high} are no integers of an input of {spec.dtype!r}")


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
        index(carried.state, states, f"{where}.state")
        if carried.state in seen:
            raise wrong(f"{where}.state", f"{carried.state} is there twice")
        seen.add(carried.state)
        for name, dim in (("length", carried.length), ("next", carried.next)):
            if (dim is None) != (states[carried.state].axis is None):
                raise wrong(f"{where}.{name}", "for a state that grows, and for no other")
            if dim is not None:
                known(dim, declared, f"{where}.{name}")


def _state(manifest: Manifest, path: str) -> None:
    if manifest.state and "state" not in manifest.requires:
        raise wrong("requires", "a pack with state requires 'state'")
    distinct((s.name for s in manifest.state), path, "name")
    tensors = manifest.weights.tensors
    for i, state in enumerate(manifest.state):
        where = f"{path}[{i}]"
        if math.prod(state.shape) * state.dtype.bytes > MAX_INTEGER:
            raise wrong(f"{where}.shape", "more bytes than can be counted")
        if state.axis is not None:
            index(state.axis, state.shape, f"{where}.axis")
        if state.initial is not None:
            index(state.initial, tensors, f"{where}.initial")
            if state.axis is not None:
                raise wrong(f"{where}.initial", "a state that grows begins empty")
            elements = tensors[state.initial].elements
            if elements != math.prod(state.shape):
                raise wrong(f"{where}.initial", f"{elements} elements for shape {list(state.shape)}")


def _weights(weights: Weights, path: str) -> None:
    distinct((s.file for s in weights.shards), f"{path}.shards", "file")
    distinct((t.name for t in weights.tensors), f"{path}.tensors", "name")
    for i, shard in enumerate(weights.shards):
        where = f"{path}.shards[{i}]"
        if not 8 <= shard.data <= shard.bytes:
            raise wrong(f"{where}.data", f"{shard.data} is outside the file's {shard.bytes} bytes")
        if len(shard.chunks) != math.ceil(shard.bytes / CHUNK):
            raise wrong(f"{where}.chunks", f"{len(shard.chunks)} chunks for {shard.bytes} bytes")
    for i, tensor in enumerate(weights.tensors):
        where = f"{path}.tensors[{i}]"
        index(tensor.shard, weights.shards, f"{where}.shard")
        shard = weights.shards[tensor.shard]
        if tensor.bytes != tensor.elements * tensor.dtype.bytes:
            raise wrong(f"{where}.bytes", f"{tensor.bytes} for {tensor.elements} of {tensor.dtype!r}")
        if tensor.offset + tensor.bytes > shard.bytes - shard.data:
            raise wrong(f"{where}.offset", f"the tensor ends outside shard {shard.file}")
    for i in range(len(weights.shards)):
        held = (t for t in weights.tensors if t.shard == i)
        apart(((t.offset, t.offset + t.bytes, t.name) for t in held), f"{path}.shards[{i}]")


def _wasm(target: Wasm, manifest: Manifest, path: str) -> None:
    spans = module(target, manifest, path)
    for i, (entry, spec) in enumerate(zip(target.entries, manifest.entries, strict=True)):
        known(entry.thread_bytes, {s.name for s in spec.symbols}, f"{path}.entries[{i}].thread_bytes")
        if entry.commit is not None:
            index(entry.commit, entry.steps, f"{path}.entries[{i}].commit")
    same_length(target.state, manifest.state, f"{path}.state", "the pack")
    for i, (address, state) in enumerate(zip(target.state, manifest.state, strict=True)):
        if address % state.dtype.bytes:
            raise wrong(f"{path}.state[{i}]", f"{address} is not aligned for {state.dtype!r}")
        spans.append((address, address + math.prod(state.shape) * state.dtype.bytes, state.name))
    initials(manifest, {w.tensor: w.dtype for w in target.weights}, lambda dtype: dtype)
    places(spans, path)
