"""The cache of compiled objects: what it keeps, what makes room, and that no trouble with it is an error."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pyruntime_wasm.cache import MARK, Objects
from pyruntime_wasm.toolchain import build, find_compiler


def filled(folder: Path, *keys: str) -> Objects:
    """A cache with objects of 100 bytes, the first one unused for longest."""
    objects = Objects(folder)
    for age, key in enumerate(reversed(keys)):
        objects.put(key, key.encode() * 100)
        os.utime(folder / f"{key}.o", (1e9 - age, 1e9 - age))
    return objects


def kept(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.o"))


def test_what_is_put_is_got(tmp_path: Path) -> None:
    objects = filled(tmp_path / "new", "a")
    assert objects.get("a") == b"a" * 100
    assert objects.get("b") is None
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.o"]  # nothing half written is left


def test_what_is_long_unused_makes_room(tmp_path: Path) -> None:
    objects = filled(tmp_path, "a", "b", "c", "d")
    objects.get("a")
    objects.trim(most=250)
    assert kept(tmp_path) == ["a", "d"]


def test_all_files_are_looked_at_now_and_then(tmp_path: Path) -> None:
    objects = filled(tmp_path, "a", "b")
    objects.trim(most=200)
    objects.trim(most=0)
    assert kept(tmp_path) == ["a", "b"]
    for moment in (1e9, 1e11):  # long ago, or by a clock that was wrong
        os.utime(tmp_path / MARK, (moment, moment))
        objects.trim(most=100)
    assert kept(tmp_path) == ["b"]
    objects.trim(most=0, pause=0)
    assert kept(tmp_path) == []


def test_files_that_go_meanwhile_are_no_trouble(tmp_path: Path) -> None:
    """Those that another process has just renamed or removed: the others still make room."""
    objects = filled(tmp_path, "a", "b")
    (tmp_path / ".new-gone").symlink_to(tmp_path / "nowhere")
    objects.trim(most=100)
    assert kept(tmp_path) == ["b"]


@pytest.mark.parametrize("what", ["nothing", "a file", "no folder"])
def test_a_cache_that_cannot_be_used(tmp_path: Path, what: str) -> None:
    (tmp_path / "file").touch()
    objects = Objects({"nothing": None, "a file": tmp_path / "file", "no folder": tmp_path / "none"}[what])
    if what != "no folder":
        objects.put("a", b"a")
    assert objects.get("a") is None
    objects.trim(pause=0)


@pytest.mark.wasm
@pytest.mark.parametrize("compiler", ["clang", "zig"])
def test_a_build_leaves_objects_alone(compiler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compilers that have caches of their own do not fill the user's folder."""
    monkeypatch.setenv("PYRUNTIME_CACHE", str(tmp_path))
    source = '__attribute__((export_name("f"))) int f(int x) { return x + 1; }'
    first = build({"one": source}, ("simd",), find_compiler(compiler))
    left = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"objects"}
    assert len(kept(tmp_path / "objects")) == 1
    assert build({"one": source}, ("simd",), find_compiler(compiler)) == first
