"""Sessions on Wasm: modules that break the ABI, traps, memory, variants, conversions."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyruntime
from pyruntime.runtime import wasm

pytestmark = pytest.mark.wasm

FUNCTIONS = {
    "abi": "(result i32) i32.const 1",
    "dims": "(param i32) (result i32) i32.const 1024",
    "plan": "(param i32) (result i32) i32.const 0",
    "bytes": "(param i32) (result i64) i64.const 200000",
    "input": "(param i32 i32) (result i32) i32.const 140000",
    "output": "(param i32 i32) (result i32) i32.const 150000",
    "output_dim": "(param i32 i32 i32) (result i64) i64.const 2",
    "steps": "(param i32) (result i32) i32.const 2",
    "run": "(param i32 i32 i32) (result i32) local.get 2",
}
PARAMETERS = "(param i32 i32 i32) (result i32)"
FAILS_IN_STEP_1 = f"{PARAMETERS} local.get 2 i32.const 1 i32.gt_s if unreachable end local.get 2"
STRETCH = {"x": [1.0], "factor": 1}


@pytest.fixture
def module(damaged: Callable[..., Path]) -> Callable[..., Path]:
    """module(name="wat body", memory="import"): the affine pack with a module written out by hand."""
    import wasmtime

    def make(memory: str = '(import "env" "memory" (memory 3))', **functions: str | None) -> Path:
        bodies = {k: v for k, v in {**FUNCTIONS, **functions}.items() if v is not None}
        exported = " ".join(f'(func (export "{name}") {body})' for name, body in bodies.items())
        code = bytes(wasmtime.wat2wasm(f"(module {memory} {exported})"))

        def edit(m: Any) -> None:
            variants = m["targets"]["wasm"]["variants"]
            variants[:] = [
                {**variants[1], "bytes": len(code), "sha256": hashlib.sha256(code).hexdigest()},
            ]

        path = damaged(edit)
        (path / "model.simd.wasm").write_bytes(code)
        return path

    return make


def load(path: Path) -> pyruntime.Session:
    return pyruntime.load(path, device="wasm", entry="stretch")


def test_hand_written_module_runs(module: Callable[..., Path]) -> None:
    with load(module()) as session:
        assert session.run(STRETCH)["y"].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"memory": ""}, pyruntime.PackError, "imports nothing; a pack's module imports env.memory alone"),
        (
            {"memory": '(import "env" "memory" (memory 3)) (import "env" "print" (func))'},
            pyruntime.PackError,
            "print",
        ),
        ({"memory": '(import "env" "memory" (func))'}, pyruntime.PackError, "imports env.memory alone"),
        ({"memory": '(import "env" "memory" (memory 9))'}, pyruntime.PackError, "wants 9 pages"),
        ({"memory": '(import "env" "memory" (memory 3 5))'}, pyruntime.PackError, "cannot be started"),
        ({"run": None}, pyruntime.PackError, "does not export the function 'run'"),
        (
            {"bytes": "(param i32) (result i32) i32.const 0"},
            pyruntime.PackError,
            "exports 'bytes' with other",
        ),
        ({"abi": "(result i32) i32.const 2"}, pyruntime.PackVersionError, "ABI 2"),
        ({"abi": "(result i32) unreachable"}, pyruntime.PackError, "cannot be started"),
    ],
)
def test_modules_that_are_refused(
    module: Callable[..., Path], changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        load(module(**changes))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"plan": "(param i32) (result i32) i32.const -3"}, pyruntime.MemoryLimitError, r"n=1 \(code -3\)"),
        (
            {"bytes": "(param i32) (result i64) i64.const 4294967297"},
            pyruntime.MemoryLimitError,
            "sizes n=1 need 4294967297 bytes",
        ),
        ({"bytes": "(param i32) (result i64) i64.const -1"}, pyruntime.PackError, "wants -1 bytes"),
        (
            {"input": "(param i32 i32) (result i32) i32.const -4"},
            pyruntime.PackError,
            "names bytes 4294967292",
        ),
        (
            {"output": "(param i32 i32) (result i32) i32.const 10000000"},
            pyruntime.PackError,
            "names bytes 10000000",
        ),
        ({"dims": "(param i32) (result i32) i32.const -1"}, pyruntime.PackError, "names bytes 4294967295"),
        (
            {"output_dim": "(param i32 i32 i32) (result i64) i64.const 7"},
            pyruntime.PackError,
            r"shape \(7,\)",
        ),
        ({"steps": "(param i32) (result i32) i32.const 3"}, pyruntime.PackError, "does not have the 2 steps"),
        (
            {"run": FAILS_IN_STEP_1},
            pyruntime.RunError,
            "step 1 'scale' failed: wasm trap: wasm `unreachable`",
        ),
        (
            {"run": "(param i32 i32 i32) (result i32) i32.const -7"},
            pyruntime.RunError,
            "step 0 'clear' failed: code -7",
        ),
        ({"plan": "(param i32) (result i32) unreachable"}, pyruntime.RunError, "unreachable"),
        (
            {"run": "(param i32 i32 i32) (result i32) i32.const -4 i32.load"},
            pyruntime.RunError,
            "step 0 'clear' failed: wasm trap: out of bounds memory access",
        ),
    ],
)
def test_modules_that_misbehave(
    module: Callable[..., Path], changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with load(module(**changes)) as session:
        for _ in range(2):
            with pytest.raises(error, match=message):
                session.run(STRETCH)


def test_recovers_from_a_trap(packs: Path) -> None:
    with pyruntime.load(packs / "affine", device="wasm") as session:
        expected = session.run({"x": [[1, 2, 3, 4]]})["y"]
        for _ in range(3):
            with pytest.raises(pyruntime.RunError, match="step 0 'trap' failed: wasm trap"):
                session.run(STRETCH, entry="trap")
            assert np.array_equal(session.run({"x": [[1, 2, 3, 4]]})["y"], expected)


def test_not_a_module(damaged: Callable[..., Path]) -> None:
    def edit(m: Any) -> None:
        for variant in m["targets"]["wasm"]["variants"]:
            variant.update(bytes=5, sha256=hashlib.sha256(b"hello").hexdigest())

    path = damaged(edit)
    for name in ("model.simd.wasm", "model.relaxed.wasm"):
        (path / name).write_bytes(b"hello")
    with pytest.raises(pyruntime.PackError, match=r"model\.relaxed\.wasm is not a valid module"):
        pyruntime.load(path, device="wasm")


def test_variants(packs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pyruntime.load(packs / "affine", device="wasm") as session:
        assert session.report.variant == ("relaxed-simd",)
    monkeypatch.setattr(wasm, "_has", lambda _: False)
    with pyruntime.load(packs / "affine", device="wasm") as session:
        assert session.report.variant == ()
        assert session.run({"x": [[0, 0, 0, 0]]})["y"].shape == (1, 3)


def test_unknown_features_are_not_had(damaged: Callable[..., Path]) -> None:
    path = damaged(lambda m: m["targets"]["wasm"]["variants"][0].update(requires=["teleport"]))
    with pyruntime.load(path, device="wasm") as session:
        assert session.report.variant == ()


def test_modules_are_compiled_once(packs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyruntime.load(packs / "double", device="wasm").close()
    kept = dict(wasm._modules)
    pyruntime.load(packs / "double", device="wasm").close()
    assert dict(wasm._modules) == kept
    monkeypatch.setattr(wasm, "_MODULES_KEPT", 1)
    pyruntime.load(packs / "dtypes", device="wasm").close()
    assert len(wasm._modules) == 1


def test_without_wasmtime(packs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(pyruntime.DeviceError, match=r"pip install pyruntime\[wasm\]"):
        pyruntime.load(packs / "affine", device="wasm")


def test_weights_that_do_not_fit(damaged: Callable[..., Path]) -> None:
    """Weights near the end of the address space leave no room for the bytes that vector loads may read."""
    path = damaged(lambda m: m["targets"]["wasm"]["weights"][1].update(address=2**32 - 16))
    with pytest.raises(pyruntime.MemoryLimitError, match="the weights need 4294967356 bytes"):
        pyruntime.load(path, device="wasm")


def test_processes_share_compiled_modules(module: Callable[..., Path], tmp_path: Path) -> None:
    """Processes share wasmtime's cache in the user's folder; where there is none, each compiles."""
    script = f"import pyruntime; pyruntime.load({str(module())!r}, device='wasm', entry='stretch').close()"
    unusable = tmp_path / "file"
    unusable.touch()
    for home in (tmp_path, unusable):
        env = {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
        subprocess.run([sys.executable, "-c", script], env=env, check=True)
    assert [f for f in tmp_path.rglob("*") if f.is_file() and "wasmtime" in str(f)]
