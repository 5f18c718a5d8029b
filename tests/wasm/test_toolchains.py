"""The C compilers are interchangeable: equal imports and exports, right results, the same bytes each time."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from pyruntime_wasm.toolchain import VARIANTS

from tests.kernels.case import Case
from tests.wasm import toolchains

pytestmark = pytest.mark.wasm

# ARCHITECTURE.md, "Wasm module (ABI 1)"
IMPORTS = ("env.memory: memory 2..",)
SHARED_IMPORTS = ("env.memory: memory 2..65536 shared",)
EXPORTS = (
    "abi: () -> (i32)",
    "bytes: (i32) -> (i64)",
    "dims: (i32) -> (i32)",
    "input: (i32, i32) -> (i32)",
    "output: (i32, i32) -> (i32)",
    "output_dim: (i32, i32, i32) -> (i64)",
    "plan: (i32) -> (i32)",
    "run: (i32, i32, i32) -> (i32)",
    "steps: (i32) -> (i32)",
    "stop: () -> ()",
    "threads: (i32) -> (i32)",
    "tune: (i32) -> ()",
    "worker: (i32) -> (i32)",
)
COMPILERS = ("clang", "zig", "emcc")

Built = tuple[list[Case], Mapping[str, bytes]]


@pytest.fixture(scope="module", params=COMPILERS)
def built(request: pytest.FixtureRequest) -> Built:
    """The program's modules; clang and ziglang are part of the set-up, `make toolchains` brings emcc."""
    compiler: str = request.param
    if compiler == "emcc" and shutil.which("emcc") is None:
        pytest.skip("emcc is not on PATH: make toolchains")
    cases = toolchains.program()
    return cases, toolchains.build(cases, compiler)[0]


def test_imports_and_exports(built: Built) -> None:
    _, modules = built
    for variant, module in modules.items():
        imports = SHARED_IMPORTS if VARIANTS[variant].shared else IMPORTS
        assert toolchains.interface(module) == toolchains.Interface(imports, EXPORTS)


def test_results(built: Built) -> None:
    cases, modules = built
    assert not toolchains.errors(cases, dict(modules))


@pytest.mark.parametrize("compiler", ["clang", "zig"])
def test_same_bytes_without_a_cache(compiler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = toolchains.program()[::4]
    made = []
    for attempt in ("first", "second"):
        monkeypatch.setenv("PYRUNTIME_CACHE", str(tmp_path / attempt))
        made.append(toolchains.build(cases, compiler)[0])
    assert made[0] == made[1]
