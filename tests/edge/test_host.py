"""examples/edge/host.cpp, built as its first lines say, gives what a session gives, to the last bit."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import pyruntime
from tests.conftest import without
from tests.edge.c_api import header, library
from tests.packs.fixtures import packs

__all__ = ["packs"]

pytestmark = pytest.mark.wasm

ROOT = Path(__file__).parents[2]
HOST = ROOT / "examples" / "edge" / "host.cpp"
JSON = Path("/usr/include/nlohmann/json.hpp")


@pytest.fixture(scope="session")
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built program."""
    if not JSON.exists():
        without(request.config, "nlohmann's json.hpp is not installed: make setup")
    folder = tmp_path_factory.mktemp("host")
    (folder / "wasm.h").write_text(header(HOST.read_text()))
    compiler = ["clang++-22", "-fuse-ld=lld"]
    flags = ["-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers"]
    files = ["-isystem", str(folder), str(HOST), str(library()), f"-Wl,-rpath,{library().parent}"]
    program = folder / "host"
    subprocess.run([*compiler, *flags, *files, "-o", str(program)], check=True)
    return program


def test_the_example_is_short() -> None:
    assert len(HOST.read_text().splitlines()) < 200


@pytest.mark.parametrize(
    ("name", "symbol", "size"), [("affine", "batch", 7), ("dtypes", "n", 5), ("double", "", 0)]
)
def test_same_bits(host: Path, packs: Path, tmp_path: Path, name: str, symbol: str, size: int) -> None:
    pack = packs / name
    random = np.random.default_rng(0)
    with pyruntime.load(pack, device="wasm") as session:
        feeds = {}
        for spec in session.inputs:
            shape = [d if isinstance(d, int) else size for d in spec.shape]
            feeds[spec.name] = random.integers(0, 2, shape).astype(spec.dtype)
        expected = session.run(feeds)
    for key, value in feeds.items():
        (tmp_path / f"{key}.in").write_bytes(value.tobytes())
    sizes = [f"{symbol}={size}"] if symbol else []
    files = [str(tmp_path / f"{key}.in") for key in feeds]
    subprocess.run([str(host), str(pack), *sizes, *files], cwd=tmp_path, check=True, stdout=subprocess.PIPE)
    for key, value in expected.items():
        made = np.frombuffer((tmp_path / f"{key}.bin").read_bytes(), value.dtype).reshape(value.shape)
        np.testing.assert_array_equal(made, value)


def refused(host: Path, folder: Path, *words: str) -> str:
    done = subprocess.run([str(host), *words], cwd=folder, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    return done.stderr.strip()


def test_refusals(host: Path, packs: Path, tmp_path: Path) -> None:
    (tmp_path / "x.in").write_bytes(bytes(17))
    affine = str(packs / "affine")
    assert refused(host, tmp_path, affine, "x.in") == "host: give batch=SIZE"
    assert refused(host, tmp_path, affine, "batch=1", "x.in") == "host: x.in should have 16 bytes"
    assert refused(host, tmp_path, affine, "batch=1") == "host: the pack has 1 inputs"
    assert refused(host, tmp_path, affine, "batch=1", "none.in") == "host: none.in cannot be read"
    later = tmp_path / "later"
    shutil.copytree(packs / "affine", later)
    manifest = json.loads((later / "pack.json").read_text())
    (later / "pack.json").write_text(json.dumps({**manifest, "requires": ["what-comes-later"]}))
    assert "does not know" in refused(host, tmp_path, str(later), "batch=1", "x.in")
