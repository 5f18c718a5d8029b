"""Everything that can be told of a pack without running it, at given sizes; `to_dict` is its JSON."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyruntime.cli.inspection.memory import Memory, memory_of
from pyruntime.cli.inspection.modules import Module, module_of
from pyruntime.cli.inspection.programs import Plan, plan
from pyruntime.errors import InputError, MissingFileError, PackError
from pyruntime.ir.ratio import part_of
from pyruntime.pack.account import TARGETS, Account, Target, accounts, targets_of
from pyruntime.pack.expressions import Evaluator, ExpressionError, infix
from pyruntime.pack.reader import MANIFEST, Pack
from pyruntime.pack.schema import FORMAT, KNOWN_REQUIREMENTS, Entry, Manifest, Spec
from pyruntime.pack.targets import Dispatch

MOST = 21  # powers of two that are tried for sizes that are not given
_WORKGROUP = re.compile(r"@workgroup_size\(([^)]*)\)")


@dataclass(frozen=True)
class Tensor:
    """An input, output or state as the user sees it: its sizes as written, and at the sizes asked."""

    kind: str
    name: str
    dtype: str
    shape: tuple[str, ...]
    sizes: tuple[int, ...] | None
    note: str = ""


@dataclass(frozen=True)
class Weight:
    """A weight as it is stored; `readers` are the steps that read it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    layout: str
    bytes: int
    file: str
    readers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kernel:
    """A WGSL shader; `key`, of its text's SHA-256, tells equal kernels of packs, `steps` how many use it."""

    name: str
    template: str
    key: str
    bytes: int
    workgroup: str
    bindings: tuple[str, ...]
    words: int
    steps: int
    code: str


@dataclass(frozen=True)
class File:
    """A file of the pack; `gzip` is None for weights, which hardly shrink."""

    name: str
    bytes: int
    gzip: int | None


@dataclass(frozen=True)
class Program:
    """An entry on a target at given sizes; `refused` are those of its constraints that these do not meet."""

    name: str
    target: Target
    symbols: Mapping[str, int]
    tensors: tuple[Tensor, ...]
    constraints: tuple[str, ...]
    refused: tuple[str, ...]
    plan: Plan
    memory: Memory | None
    account: Account | None


@dataclass(frozen=True)
class Inspection:
    """What a pack is; fields as pack.json's, and what follows from them.

    `targets` are the pack's, `programs` those of every entry on each target asked for.
    """

    path: str
    format: int
    requires: tuple[str, ...]
    producer: str
    model: Mapping[str, Any]
    targets: tuple[str, ...]
    programs: tuple[Program, ...]
    weights: tuple[Weight, ...]
    kernels: tuple[Kernel, ...]
    modules: tuple[Module, ...]
    files: tuple[File, ...]
    notes: tuple[str, ...]

    @property
    def several(self) -> bool:
        """Whether there is more than one entry."""
        return len({p.name for p in self.programs}) > 1


def readable() -> str:
    """Which packs this version of pyruntime reads."""
    known = ", ".join(sorted(KNOWN_REQUIREMENTS))
    formats = f"format {FORMAT}" if FORMAT == 0 else f"formats 0 to {FORMAT}"
    return f"{formats}, with any of the features {known}"


def inspect(
    pack: Pack, sizes: Mapping[str, int], path: str = "", targets: Sequence[Target] = TARGETS
) -> Inspection:
    """Look at an open pack.

    Args:
        pack: what to look at.
        sizes: of symbols, by name. Others are 1, or the smallest power of two that the model takes; lengths
            of states 0, elements of inputs their defaults.
        path: what to call it; by default its path.
        targets: for which to tell steps and code, where the pack has them.

    Raises:
        InputError: there is no such symbol, or the model does not take these sizes.
        PackError: a file is missing or damaged.
    """
    manifest = pack.manifest
    known = {s.name for e in manifest.entries for s in e.symbols}
    for name in sorted(sizes.keys() - known):
        there = f"the symbols are {', '.join(sorted(known))}" if known else "it has none"
        raise InputError(f"--symbol {name}: the pack has no such symbol; {there}")
    asked = [t for t in targets_of(manifest) if t in targets]
    told = {target: accounts(manifest, target) for target in asked}
    programs = [
        _program(manifest, number, target, told[target][number], sizes)
        for number in range(len(manifest.entries))
        for target in asked
    ]
    wasm = manifest.targets.wasm if "wasm" in asked else None
    modules = wasm.variants if wasm else ()
    return Inspection(
        path or str(pack.path),
        FORMAT,
        tuple(manifest.requires),
        f"{manifest.producer.name} {manifest.producer.version}",
        dataclasses.asdict(manifest.model),
        targets_of(manifest),
        tuple(programs),
        _weights(manifest, programs),
        _kernels(pack) if "webgpu" in asked else (),
        tuple(module_of(m.file, m.requires, pack.read(m)) for m in modules),
        _files(pack),
        tuple(map(str, (manifest.report or {}).get("notes", ()))),
    )


def bound(entry: Entry, sizes: Mapping[str, int]) -> dict[str, int]:
    """A value for each symbol of an entry: the first that meets its constraints, if one does."""
    for size in (1 << power for power in range(MOST)):
        found = _bound(entry, sizes, size)
        if not _refused(entry, Evaluator(found)):
            return found
    return _bound(entry, sizes, 1)


def _refused(entry: Entry, values: Evaluator) -> tuple[str, ...]:
    """The constraints that sizes do not meet."""
    return tuple(c.reason for c in entry.constraints if not _value(c.value, values))


def _bound(entry: Entry, sizes: Mapping[str, int], size: int) -> dict[str, int]:
    found = {}
    for symbol in entry.symbols:
        usual = size
        if symbol.state is not None:
            usual = 0
        elif symbol.element is not None and symbol.input is not None:
            spec = entry.inputs[symbol.input]
            usual = part_of(spec.default or 1, symbol.part, spec.name)
        found[symbol.name] = sizes.get(symbol.name, usual)
    return found


def _program(
    manifest: Manifest, number: int, target: Target, account: Account | None, sizes: Mapping[str, int]
) -> Program:
    entry = manifest.entries[number]
    symbols = bound(entry, sizes)
    values = Evaluator(symbols)
    refused = _refused(entry, values)
    try:
        made = plan(manifest, number, target, account, symbols)
    except (InputError, PackError) as error:
        if not refused:
            raise
        # programs need to mean nothing where a run is refused
        taken = ", ".join(f"{name} = {size}" for name, size in symbols.items())
        raise InputError(f"entry {entry.name!r} does not take {taken}: {'; '.join(refused)}") from error
    tensors = [_tensor("input", s, values) for s in entry.inputs]
    tensors += [_tensor("output", s, values) for s in entry.outputs]
    for carried in entry.state:
        state = manifest.state[carried.state]
        shape = tuple(f"up to {d}" if a == state.axis else str(d) for a, d in enumerate(state.shape))
        tensors.append(Tensor("state", state.name, state.dtype.value, shape, tuple(state.shape)))
    return Program(
        entry.name,
        target,
        symbols,
        tuple(tensors),
        tuple(c.reason for c in entry.constraints),
        refused,
        made,
        memory_of(manifest, number, target, account, made, symbols),
        account,
    )


def _tensor(kind: str, spec: Spec, values: Evaluator) -> Tensor:
    sizes = [_value(d, values) for d in spec.shape]
    known = None if None in sizes else tuple(s or 0 for s in sizes)
    notes = [f"{spec.default} where not fed"] if spec.default is not None else []
    notes += [f"from {spec.within[0]} to {spec.within[1]}"] if spec.within is not None else []
    shape = tuple(infix(d) for d in spec.shape)
    return Tensor(kind, spec.name, spec.element.value, shape, known, ", ".join(notes))


def _weights(manifest: Manifest, programs: Sequence[Program]) -> tuple[Weight, ...]:
    readers: dict[int, list[str]] = {}
    for program in programs:
        for step in program.plan.steps:
            for read in step.reads:
                if read < 0:
                    readers.setdefault(-1 - read, []).append(step.name)
    shards = manifest.weights.shards
    return tuple(
        Weight(
            t.name,
            t.dtype.value,
            tuple(t.shape),
            t.layout,
            t.bytes,
            shards[t.shard].file,
            tuple(dict.fromkeys(readers.get(i, ()))),
        )
        for i, t in enumerate(manifest.weights.tensors)
    )


def _kernels(pack: Pack) -> tuple[Kernel, ...]:
    target = pack.manifest.targets.webgpu
    if target is None:
        return ()
    variant = target.variants[-1]
    text = pack.read(variant)
    used = {(c.step, c.shader) for e in variant.entries for c in e.commands if isinstance(c, Dispatch)}
    steps = Counter(shader for _, shader in used)
    made = []
    for number, shader in enumerate(variant.shaders):
        code = text[shader.offset : shader.offset + shader.bytes]
        source = code.decode(errors="replace")
        size = _WORKGROUP.search(source)
        made.append(
            Kernel(
                shader.name,
                shader.name.rpartition("_")[0],
                hashlib.sha256(code).hexdigest()[:12],
                shader.bytes,
                size[1] if size else "",
                tuple(shader.bindings),
                shader.words,
                steps[number],
                source,
            )
        )
    return tuple(made)


def _files(pack: Pack) -> tuple[File, ...]:
    """Sizes as stored, and as a web server sends them."""
    targets, text = pack.manifest.targets, pack.manifest_bytes()
    files = [File(MANIFEST, len(text), _compressed(text))]
    for target in (targets.webgpu, targets.webgpu and targets.webgpu.host, targets.wasm):
        for variant in target.variants if target else ():
            data = pack.read(variant)
            files.append(File(variant.file, len(data), _compressed(data)))
    for asset in pack.manifest.assets:
        with contextlib.suppress(MissingFileError):
            files.append(File(asset.file, asset.bytes, _compressed(pack.read(asset))))
    return (*files, *(File(s.file, s.bytes, None) for s in pack.manifest.weights.shards))


def _compressed(data: bytes) -> int:
    return len(gzip.compress(data, 9, mtime=0))


def _value(expression: Any, values: Evaluator) -> int | None:
    try:
        return values(expression)
    except ExpressionError:
        return None


def to_dict(found: Inspection) -> dict[str, Any]:
    """Plain containers, for JSON; without the kernels' texts."""
    told = dataclasses.asdict(found)
    told["reads"] = {"format": FORMAT, "features": sorted(KNOWN_REQUIREMENTS)}
    told["kernels"] = [{k: v for k, v in kernel.items() if k != "code"} for kernel in told["kernels"]]
    made = zip(found.programs, told.pop("programs"), strict=True)
    told["entries"] = [_entry([*rows]) for _, rows in itertools.groupby(made, lambda row: row[0].name)]
    return told


def _entry(rows: Sequence[tuple[Program, dict[str, Any]]]) -> dict[str, Any]:
    """An entry: its interface, and what it is on each target."""
    program, made = rows[0]
    return {
        "name": program.name,
        "symbols": dict(program.symbols),
        "tensors": made["tensors"],
        "constraints": list(program.constraints),
        "refused": list(program.refused),
        "targets": {each.target: _on_target(each, row) for each, row in rows},
    }


def _on_target(program: Program, made: dict[str, Any]) -> dict[str, Any]:
    """Totals, steps, and how full memory is at each of them."""
    plan, totals = made["plan"], made["plan"]["totals"]
    fused = program.plan.totals.fused
    ratio = round(totals["bytes"] / fused, 4) if fused and totals["bytes"] is not None else None
    held = program.memory
    return {
        "totals": {**totals, "bytes_over_fused": ratio},
        "steps": plan["steps"],
        "memory": held
        and {
            "arenas": list(held.arenas),
            "peak": held.peak,
            "live": list(held.live),
            "beside": sorted(held.beside),
        },
    }
