"""Writes a pack so that it is there whole or not at all."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import zipfile
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

from pyruntime.errors import PackError
from pyruntime.pack.manifest import encode_manifest
from pyruntime.pack.schema import Asset, Manifest
from pyruntime.pack.shards import WeightWriter
from pyruntime.pack.validate import validate

MANIFEST = "pack.json"


class Written(NamedTuple):
    """A file of the pack, as pack.json names it."""

    file: str
    bytes: int
    sha256: str


class PackWriter:
    """Gathers a pack in a folder beside `path` and moves it there when it is complete.

        with PackWriter("model.pack") as pack:
            index = pack.weights.add("conv1.weight", array)
            code = pack.add_file("model.simd.wasm", data)
            pack.finish(Manifest(weights=pack.weights.finish(), ...))

    A pack that is already at `path` is replaced; anything else there is refused. Without `finish`, or
    after any exception, nothing is left behind and what was at `path` is still there. A path that ends
    with ".zip" gives one stored archive, else the pack is a folder.

    Raises:
        PackError: the path cannot be written, or does not hold a pack and is not empty.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).resolve()
        self._finished = False

    def __enter__(self) -> PackWriter:
        _refuse_to_overwrite(self.path)
        self._parents = [p for p in self.path.parents if not p.exists()]  # innermost first
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.folder = _sibling(self.path, "part")
        except OSError as error:
            self._remove_parents()
            raise PackError(f"cannot write {self.path}: {error.strerror or error}") from error
        self.weights = WeightWriter(self.folder)
        return self

    def add_file(self, name: str, data: bytes | Iterable[bytes]) -> Written:
        """Write a file, whole or piece by piece, and tell what pack.json must say of it."""
        digest, size = hashlib.sha256(), 0
        with (self.folder / name).open("xb") as file:
            for piece in [data] if isinstance(data, bytes) else data:
                digest.update(piece)
                size += len(piece)
                file.write(piece)
        return Written(name, size, digest.hexdigest())

    def add_asset(self, name: str, data: bytes) -> Asset:
        """Write a file that travels with the model; its name in the pack holds a hash of its content."""
        written = self.add_file("asset.part", data)
        stem, dot, suffix = re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("._-")[-80:].rpartition(".")
        file = f"{(stem if dot else suffix) or 'asset'}-{written.sha256[:16]}{dot}{suffix if dot else ''}"
        (self.folder / written.file).replace(self.folder / file)
        return Asset(name, file, written.bytes, written.sha256)

    def finish(self, manifest: Manifest) -> None:
        """Check the manifest and write it; the pack appears at its path when the `with` block ends.

        Raises PackError when the manifest contradicts itself: a bug of what built it.
        """
        validate(manifest)
        (self.folder / MANIFEST).write_bytes(encode_manifest(manifest))
        self._finished = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        done = False
        try:
            if kind is None and self._finished:
                self._move_into_place()
                done = True
        except OSError as failure:
            raise PackError(f"cannot write {self.path}: {failure.strerror or failure}") from failure
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
            if not done:
                self._remove_parents()
        if isinstance(error, OSError):  # the disk is full, say
            raise PackError(f"cannot write {self.path}: {error.strerror or error}") from error

    def _move_into_place(self) -> None:
        whole = self.folder
        if self.path.suffix == ".zip":
            whole = self.folder / "pack.zip"
            files = [p for p in self.folder.iterdir() if p != whole]
            with whole.open("xb") as file:
                archive(file, [(p.name, p.stat().st_size, partial(_opened, p)) for p in files])
        if self.path.is_dir() and whole.is_dir():
            old = _sibling(self.path, "old")
            try:
                self.path.replace(old / "pack")
                try:
                    whole.replace(self.path)
                except BaseException:
                    (old / "pack").replace(self.path)
                    raise
            finally:
                shutil.rmtree(old, ignore_errors=True)
        else:
            whole.replace(self.path)

    def _remove_parents(self) -> None:
        for parent in self._parents:
            try:
                parent.rmdir()
            except OSError:  # never made, or someone else uses it by now
                return


def may_replace(path: Path) -> bool:
    """Whether a pack may take the place of what is there: nothing, an empty folder, or another pack."""
    if not path.exists():
        return True
    if path.suffix == ".zip":
        return path.is_file() and zipfile.is_zipfile(path)
    return path.is_dir() and ((path / MANIFEST).is_file() or not any(path.iterdir()))


def _refuse_to_overwrite(path: Path) -> None:
    if not may_replace(path):
        raise PackError(f"{path} exists and is not a pack; choose another path")


def _sibling(path: Path, suffix: str) -> Path:
    """A new hidden folder beside path: on the same disk, so that renaming it is atomic."""
    folder = path.with_name(f".{path.name}.{secrets.token_hex(4)}.{suffix}")
    folder.mkdir()
    return folder


def _opened(path: Path) -> BinaryIO:
    return path.open("rb")


# a member of an archive: its name, its bytes, and what opens it
Archived = tuple[str, int, Callable[[], AbstractContextManager[BinaryIO]]]


def archive(file: BinaryIO, members: Iterable[Archived]) -> None:
    """One stored archive with fixed times, so that equal packs are equal bytes; pack.json comes first."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as made:
        for name, size, opened in sorted(members, key=lambda m: (m[0] != MANIFEST, m[0])):
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o644 << 16
            info.file_size = size
            with made.open(info, "w") as into, opened() as source:
                shutil.copyfileobj(source, into, 1 << 20)
