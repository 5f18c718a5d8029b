"""Whatever pack.json says, reading and running it ends in results or in a PyRuntimeError, nothing else."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pyruntime
from pyruntime.errors import PyRuntimeError
from pyruntime.pack.manifest import decode_manifest
from pyruntime.pack.program import bind
from pyruntime.pack.validate import validate
from pyruntime.runtime.wasm import WasmSession
from tests.packs.handmade import PACKS, compiler_missing

pytestmark = pytest.mark.skipif(bool(compiler_missing()), reason=compiler_missing())

JUNK: list[Any] = [
    *(None, True, False, 0, 1, 2, 3, 4, 5, 8, 63, 64, 255, 256, 257, 512, -1, -256, 1.5, 1e300),
    *(2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53 - 1, 2**53, 2**63 - 1, 2**63, 10**30, -(2**63)),
    *(
        "",
        "x",
        "n",
        "batch",
        "+",
        "//",
        "float32",
        "int64",
        "uint32",
        "read",
        "read_write",
        "arena",
        "weights",
    ),
    *("pack.json", "../x", "main", "ü", "0" * 64),
    *([], {}, [0], ["n"], [[]], ["arena", 0, 0], ["arena", 1, 0, 4], ["weights", 0, 0, 4]),
    *(["n", 0, "//"], ["batch", "batch", "*"], [1, "+"], ["n", 256, "*"], [-1, "n", "*"], [2**62, "n", "*"]),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of everything inside a JSON value."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


ORIGINALS = (
    {name: json.loads(json.dumps(make(True)[0].manifest)) for name, make in PACKS.items()}
    if not compiler_missing()
    else {}
)


@st.composite
def mutated(draw: st.DrawFn, originals: dict[str, Any] = ORIGINALS) -> tuple[str, Any]:
    """A pack's name, and its manifest with one to three places replaced, removed, doubled or swapped."""
    name = draw(st.sampled_from(sorted(originals)))
    manifest = copy.deepcopy(originals[name])
    for _ in range(draw(st.integers(1, 3))):
        everywhere = places(manifest)
        *way, last = draw(st.sampled_from(everywhere))
        holder = manifest
        for key in way:
            holder = holder[key]
        match draw(st.sampled_from(["junk", "junk", "nudge", "remove", "double", "other"])):
            case "junk":
                holder[last] = copy.deepcopy(draw(st.sampled_from(JUNK)))
            case "nudge" if isinstance(holder[last], int):
                holder[last] += draw(st.sampled_from([-256, -4, -1, 1, 4, 256]))
            case "remove":
                del holder[last]
            case "double" if isinstance(holder, list):
                holder.insert(last, copy.deepcopy(holder[last]))
            case _:
                other = manifest
                for key in draw(st.sampled_from(everywhere)):
                    if isinstance(other, (list, dict)) and (
                        key in other if isinstance(other, dict) else key < len(other)
                    ):
                        other = other[key]
                holder[last] = copy.deepcopy(other)
    return name, manifest


def zeros(session: pyruntime.Session) -> dict[str, Any]:
    """Feeds that fit the session's inputs, with 3 for every symbol."""
    shapes = {s.name: tuple(d if isinstance(d, int) else 3 for d in s.shape) for s in session.inputs}
    return {
        s.name: np.zeros(shapes[s.name], s.dtype) for s in session.inputs if np.prod(shapes[s.name]) < 1e6
    }


@settings(max_examples=400)
@given(mutated())
def test_manifests(case: tuple[str, Any]) -> None:
    try:
        manifest = decode_manifest(json.dumps(case[1]).encode())
        validate(manifest)
    except PyRuntimeError:
        return
    target = manifest.targets.webgpu
    for v in range(len(target.variants) if target else 0):
        for i, entry in enumerate(manifest.entries):
            for size in (1, 7, 100_000):
                assert target is not None
                try:
                    bind(target, v, i, entry, {s.name: size for s in entry.symbols})
                except PyRuntimeError:
                    continue


def run_mutated(original: Path, copied: Path, manifest: Any, device: Any) -> None:
    """Load and run a pack under another manifest; only a PyRuntimeError may come of it."""
    copied.mkdir(exist_ok=True)
    for file in original.iterdir():
        link = copied / file.name
        if not link.exists():
            link.symlink_to(file)
    (copied / "pack.json").unlink(missing_ok=True)
    (copied / "pack.json").write_text(json.dumps(manifest))
    try:
        with pyruntime.load(copied, device=device) as session:
            assert isinstance(session, WasmSession) == (device == "wasm")
            session.run(zeros(session))
            if session.state.names:
                session.state.load(session.state.save())
                session.run(zeros(session))
                session.state.reset()
    except PyRuntimeError:
        pass


DEVICES = pytest.mark.parametrize(
    "device", [pytest.param(d, marks=getattr(pytest.mark, d)) for d in ("wasm", "webgpu")]
)
SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@DEVICES
@SETTINGS
@given(case=mutated())
def test_running(packs: Path, tmp_path: Path, device: Any, case: tuple[str, Any]) -> None:
    name, manifest = case
    run_mutated(packs / name, tmp_path / name, manifest, device)
