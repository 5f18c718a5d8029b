"""Programs bound to sizes: what validation cannot know before, loops, reads, and commands that do nothing."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pyruntime.errors import InputError, MemoryLimitError, PackError, RunError
from pyruntime.pack.manifest import decode_manifest
from pyruntime.pack.program import BoundCopy, BoundProgram, BoundRead, bind
from pyruntime.pack.validate import validate
from tests.pack.edits import Edit, Json, command, edited, variant


def bound(packs: Path, edit: Edit, entry: int = 0, size: int = 5) -> BoundProgram:
    """The WebGPU program of an edited pack for one size."""
    manifest = decode_manifest(edited(packs, edit))
    validate(manifest)
    target, spec = manifest.targets.webgpu, manifest.entries[entry]
    assert target is not None
    return bind(target, 0, entry, spec, {spec.symbols[0].name: size})


def arena(m: Json, index: int, size: Any) -> None:
    variant(m)["entries"][0]["arenas"][index] = size


BOUND_WRONG: Mapping[str, tuple[int, Edit, type[Exception], str]] = {
    "arena too small": (
        0,
        lambda m: arena(m, 1, ["batch", 8, "*"]),
        PackError,
        "bytes 0 to 60 lie outside arena 1",
    ),
    "negative arena": (
        0,
        lambda m: arena(m, 0, ["batch", -1, "*"]),
        PackError,
        "arenas[0]: -5 is not at least 0",
    ),
    "undefined arena": (
        0,
        lambda m: arena(m, 0, ["batch", "batch", 5, "-", "//"]),
        InputError,
        "division by zero",
    ),
    "misaligned input": (
        0,
        lambda m: variant(m)["entries"][0]["inputs"][0].update(offset=16),
        PackError,
        "inputs[0]: 16 is not a multiple of 256",
    ),
    "misaligned binding": (
        0,
        lambda m: command(m, 0, 0)["bindings"][0].__setitem__(2, ["batch", 4, "*"]),
        PackError,
        "commands[0].bindings[0]: 20 is not a multiple of 256",
    ),
    "empty binding": (
        0,
        lambda m: command(m, 0, 0)["bindings"][0].__setitem__(3, ["batch", 5, "-"]),
        PackError,
        "a dispatch that runs binds no bytes",
    ),
    "odd copy": (
        1,
        lambda m: command(m, 1, 1).update(bytes=["n", 2, "*"]),
        PackError,
        "commands[1].bytes: 10 is not a multiple of 4",
    ),
    "copy past the end": (
        1,
        lambda m: command(m, 1, 1).update(bytes=["n", 12, "*"]),
        PackError,
        "commands[1].to: bytes 0 to 60 lie outside arena 1 of 40 bytes",
    ),
    "too many workgroups": (
        0,
        lambda m: command(m, 0, 0).update(workgroups=[1, ["batch", 65535, "*"], 1]),
        MemoryLimitError,
        "step 'affine' needs 327675 workgroups",
    ),
    "word past 32 bits": (
        0,
        lambda m: command(m, 0, 0)["words"].__setitem__(1, ["batch", 2**31, "*"]),
        MemoryLimitError,
        "past 32 bits",
    ),
    "negative output": (
        0,
        lambda m: m["entries"][0]["outputs"][0].update(shape=[["batch", 6, "-"], 3]),
        InputError,
        "'y' would have shape (-1, 3) for batch=5",
    ),
    "overlapping written bindings": (
        0,
        lambda m: (
            variant(m)["shaders"][0].update(bindings=["read_write", "read", "read", "read_write"]),
            command(m, 0, 0)["bindings"][0].__setitem__(1, 1),
            variant(m)["entries"][0]["arenas"].__setitem__(1, 512),
        ),
        PackError,
        "commands[0].bindings: two read_write bindings overlap",
    ),
}


@pytest.mark.parametrize("case", BOUND_WRONG)
def test_contradictions_for_some_sizes(packs: Path, case: str) -> None:
    entry, edit, error, message = BOUND_WRONG[case]
    with pytest.raises(error, match=re.escape(message)):
        bound(packs, edit, entry)


def test_commands_that_do_nothing_are_left_out(packs: Path) -> None:
    none = bound(packs, lambda m: command(m, 0, 0).update(workgroups=[["batch", 5, "-"], 1, 1]))
    assert [getattr(c, "step", "") for c in none.commands] == ["relu"]
    none = bound(packs, lambda m: command(m, 1, 0).update(bytes=["n", 5, "-"]), 1)
    assert len(none.commands) == 2


FILL: Json = {"op": "fill", "to": ["arena", 1, 0], "bytes": ["n", 4, "*"]}


def replaced(commands: list[Json]) -> Edit:
    """An edit that gives entry 1 other commands."""
    return lambda m: variant(m)["entries"][1].update(commands=commands)


def test_loops_are_unrolled(packs: Path) -> None:
    commands: list[Json] = [
        {"op": "set", "symbol": "i", "value": 0},
        {"op": "jump", "to": 5, "unless": [0, 1, 3, "i", -1, "*", "+", "min", "max"]},
        {**FILL, "to": ["arena", 1, ["i", 4, "*"]]},
        {"op": "set", "symbol": "i", "value": ["i", 1, "+"]},
        {"op": "jump", "to": 1},
    ]
    program = bound(packs, replaced(commands), entry=1)
    assert [c.target.offset for c in program.commands if isinstance(c, BoundCopy)] == [0, 4, 8]
    assert (program.pause, program.executed) == (None, 14)


def test_reads_end_a_segment(packs: Path) -> None:
    read: Json = {"op": "read", "symbol": "k", "from": ["arena", 1, 8], "dtype": "int32"}
    edit = replaced(
        [FILL, read, {"op": "jump", "to": 4, "unless": "k"}, {**FILL, "bytes": ["k", 4, "*"]}, FILL]
    )
    target = decode_manifest(edited(packs, edit))
    first = bound(packs, edit, entry=1)
    assert len(first.commands) == 1
    assert isinstance(first.pause, BoundRead)
    assert (first.pause.symbol, first.pause.span.offset, first.pause.dtype) == ("k", 8, "int32")
    webgpu = target.targets.webgpu
    assert webgpu is not None
    for value, sizes in ((0, [20]), (2, [8, 20])):
        symbols = {**first.pause.symbols, "k": value}
        rest = bind(webgpu, 0, 1, target.entries[1], symbols, first.pause.next)
        assert [c.target.bytes for c in rest.commands if isinstance(c, BoundCopy)] == sizes
        assert rest.pause is None


def test_loops_without_end(packs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyruntime.pack.program.MAX_COMMANDS", 1000)
    with pytest.raises(RunError, match="more than 1000 commands; a loop does not end"):
        bound(packs, replaced([FILL, {"op": "jump", "to": 0}]), entry=1)
