"""What the checks of a pack's parts have in common: their errors, and Wasm modules with their memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence

from pyruntime.errors import PackError, PackVersionError
from pyruntime.ir.dtypes import PLAIN, DType
from pyruntime.pack.expressions import Expression, symbols
from pyruntime.pack.schema import Manifest
from pyruntime.pack.targets import ABI, Wasm

# what a host can turn stored elements into while it copies them to a Wasm memory
CONVERSIONS = {(DType.F16, DType.F32)} | {(d, d) for d in PLAIN}


def wrong(path: str, message: str) -> PackError:
    """The error for what is wrong at a path."""
    return PackError(f"pack.json: {path}: {message}")


def distinct(names: Iterable[str], path: str, what: str) -> None:
    """No name is there twice."""
    seen: set[str] = set()
    for i, name in enumerate(names):
        if name in seen:
            raise wrong(f"{path}[{i}].{what}", f"{name!r} is there twice")
        seen.add(name)


def index(index: int, items: Sequence[object], path: str) -> None:
    """An index is one of a list."""
    if index >= len(items):
        raise wrong(path, f"{index} is past the end of {len(items)}")


def same_length(items: Sequence[object], others: Sequence[object], path: str, what: str) -> None:
    """A list is as long as another."""
    if len(items) != len(others):
        raise wrong(path, f"expected {len(others)} as {what} has, got {len(items)}")


def known(expression: Expression, declared: set[str], path: str) -> None:
    """An expression is over declared symbols."""
    unknown = sorted(symbols(expression) - declared)
    if unknown:
        raise wrong(path, f"symbol {unknown[0]!r} is not one of the entry's")


def apart(spans: Iterable[tuple[int, int, str]], path: str) -> None:
    """No two of (begin, end, name) share a byte."""
    ordered = sorted(s for s in spans if s[0] < s[1])
    for (_, end, one), (begin, _, other) in itertools.pairwise(ordered):
        if begin < end:
            raise wrong(path, f"{one!r} and {other!r} overlap")


def variants(requirements: Sequence[Sequence[str]], path: str) -> None:
    """The last variant suits every host."""
    if requirements[-1]:
        raise wrong(
            f"{path}.variants[{len(requirements) - 1}].requires", "the last variant must require nothing"
        )


def initials(manifest: Manifest, placed: Mapping[int, object], dtype_of: Callable[[DType], object]) -> None:
    """The weights that states begin as must be on the target, as the states are stored there."""
    for i, state in enumerate(manifest.state):
        if state.initial is not None and placed.get(state.initial) != dtype_of(state.dtype):
            raise wrong(f"state[{i}].initial", "that weight is not on the device as this dtype")


def module(target: Wasm, manifest: Manifest, path: str) -> list[tuple[int, int, str]]:
    """What the Wasm target and the host steps of WebGPU have in common; where weights lie in memory."""
    if target.abi > ABI or target.pointer_bits != 32:
        raise PackVersionError(
            f"pack.json: {path}: ABI {target.abi} with {target.pointer_bits}-bit pointers; this version of"
            f" pyruntime knows ABI {ABI} with 32; update pyruntime"
        )
    if target.abi != ABI:
        raise wrong(f"{path}.abi", f"{target.abi} was never released")
    same_length(target.entries, manifest.entries, f"{path}.entries", "the pack")
    for i, (entry, spec) in enumerate(zip(target.entries, manifest.entries, strict=True)):
        known(entry.bytes, {s.name for s in spec.symbols}, f"{path}.entries[{i}].bytes")
    spans = []
    for i, weight in enumerate(target.weights):
        where = f"{path}.weights[{i}]"
        index(weight.tensor, manifest.weights.tensors, f"{where}.tensor")
        tensor = manifest.weights.tensors[weight.tensor]
        if (tensor.dtype, weight.dtype) not in CONVERSIONS:
            raise wrong(f"{where}.dtype", f"{tensor.dtype!r} cannot be stored as {weight.dtype!r}")
        if weight.address % weight.dtype.bytes:
            raise wrong(f"{where}.address", f"{weight.address} is not aligned for {weight.dtype!r}")
        spans.append((weight.address, weight.address + tensor.elements * weight.dtype.bytes, tensor.name))
    variants([v.requires for v in target.variants], path)
    return spans


def places(spans: Iterable[tuple[int, int, str]], path: str) -> None:
    """Weights and states in one memory."""
    held = list(spans)
    apart(held, f"{path}.weights")
    if max((s[1] for s in held), default=0) > 2**32:
        raise wrong(f"{path}.weights", "they end past 4 GiB")
