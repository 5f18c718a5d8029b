"""Whatever pack.json says, reading and running it ends in results or in a PyRuntimeError, nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pyruntime
from pyruntime.errors import PyRuntimeError
from pyruntime.pack.manifest import decode_manifest
from pyruntime.pack.program import bind
from pyruntime.pack.validate import validate
from pyruntime.runtime.wasm import WasmSession
from tests.hostile import manifests
from tests.hostile.manifests import by_field
from tests.hostile.packs import zeros
from tests.packs.handmade import PACKS
from tests.packs.maker import compiler_missing

pytestmark = pytest.mark.skipif(bool(compiler_missing()), reason=compiler_missing())

ORIGINALS = (
    {name: json.loads(json.dumps(make(True)[0].manifest)) for name, make in PACKS.items()}
    if not compiler_missing()
    else {}
)


@st.composite
def mutated(draw: st.DrawFn, originals: dict[str, Any] = ORIGINALS) -> tuple[str, Any]:
    """A pack's name, and its manifest with one to three places replaced, removed, doubled or swapped."""
    name = draw(st.sampled_from(sorted(originals)))
    fields = by_field(decode_manifest(json.dumps(originals[name]).encode()))
    manifest, _ = manifests.mutated(originals[name], fields, draw(st.randoms(use_true_random=False)))
    return name, manifest


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
