"""Opens packs, as folders or stored archives, and reads their files with every byte checked."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from pyruntime.errors import HashError, MissingFileError, PackError
from pyruntime.pack.manifest import decode_manifest
from pyruntime.pack.schema import CHUNK, Asset, Manifest, Shard
from pyruntime.pack.targets import Candidates, GpuVariant, WasmVariant
from pyruntime.pack.validate import validate

MANIFEST = "pack.json"

File = WasmVariant | GpuVariant | Asset | Candidates


class _Files(Protocol):
    """Where a pack's files are."""

    def size(self, name: str) -> int: ...

    def open(self, name: str) -> BinaryIO: ...

    def close(self) -> None: ...


class _Folder:
    def __init__(self, path: Path) -> None:
        self._path = path

    def size(self, name: str) -> int:
        """Bytes of a file. Raises MissingFileError."""
        path = self._path / name
        if not path.is_file():
            raise MissingFileError(f"{path} is missing")
        return path.stat().st_size

    def open(self, name: str) -> BinaryIO:
        """The file, for reading."""
        return (self._path / name).open("rb")

    def close(self) -> None:
        """Nothing is held open."""


class _Archive:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._zip = zipfile.ZipFile(path)

    def size(self, name: str) -> int:
        """Bytes of a member. Raises MissingFileError, or PackError for a compressed one."""
        try:
            info = self._zip.getinfo(name)
        except KeyError:
            raise MissingFileError(f"{name} is missing in {self._path}") from None
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise PackError(
                f"{name} in {self._path} is compressed or encrypted; archives of packs are stored"
            )
        return info.file_size

    def open(self, name: str) -> BinaryIO:
        """The member, for reading."""
        return cast(BinaryIO, self._zip.open(name))

    def close(self) -> None:
        """Close the archive."""
        self._zip.close()


class Pack:
    """An open pack: a validated manifest, and files read on demand.

    Attributes:
        manifest: what pack.json says; given, it is taken as read and checked before.
        path: where the pack is, for messages.
    """

    def __init__(self, path: str | os.PathLike[str], manifest: Manifest | None = None) -> None:
        self.path = Path(path)
        self._files = _open(self.path)
        if manifest is not None:
            self.manifest: Manifest = manifest
            return
        try:
            self.manifest = decode_manifest(self.manifest_bytes())
            validate(self.manifest)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Pack:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the archive, if it is one."""
        self._files.close()

    def manifest_bytes(self) -> bytes:
        """What pack.json has now. Raises MissingFileError."""
        with self.open(MANIFEST) as file:
            return file.read(self._files.size(MANIFEST))

    @property
    def names(self) -> tuple[str, ...]:
        """All files of the pack, pack.json first."""
        targets, weights = self.manifest.targets, self.manifest.weights
        files: list[Shard | File] = [*weights.shards, *self.manifest.assets]
        for target in (targets.wasm, targets.webgpu, targets.webgpu and targets.webgpu.host):
            files += target.variants if target else ()
        if targets.webgpu is not None:
            files += filter(None, (targets.webgpu.candidates, *targets.webgpu.tuned))
        return (MANIFEST, *dict.fromkeys(file.file for file in files))

    def size(self, name: str) -> int:
        """Bytes that a file has now. Raises MissingFileError."""
        return self._files.size(name)

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """A file as it is, unchecked, for as long as the context lasts.

        Raises MissingFileError, HashError for a damaged archive, PackError for what cannot be read.
        """
        try:
            self._files.size(name)  # names what is missing
            with self._files.open(name) as stream:
                yield stream
        except zipfile.BadZipFile as error:
            raise HashError(f"{name}: {error}") from error
        # a member may be cut off (EOFError), or compressed as zipfile cannot read (NotImplementedError)
        except (OSError, EOFError, NotImplementedError) as error:
            raise PackError(f"cannot read {name} of {self.path}: {error}") from error

    def read(self, file: File) -> bytes:
        """The whole of a file that has one hash. Raises MissingFileError, HashError."""
        self._check_size(file.file, file.bytes)
        with self.open(file.file) as stream:
            data = stream.read(file.bytes)
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise HashError(f"{file.file} does not have the bytes that the pack was written with")
        return data

    def tensors(self, wanted: Iterable[int]) -> Iterator[tuple[int, int, memoryview]]:
        """Stream the bytes of these weights as (tensor index, first element, bytes of whole elements).

        Pieces are whole words of 32 bits, too, but for a tensor's last.

        Each shard is read once, a chunk of 4 MiB at a time; chunks that hold nothing wanted are skipped.
        Raises MissingFileError, HashError naming file and chunk, PackError for a file of another size.
        """
        chosen = set(wanted)
        tensors = self.manifest.weights.tensors
        for number, shard in enumerate(self.manifest.weights.shards):
            here = sorted(
                (i for i in chosen if tensors[i].shard == number and tensors[i].bytes),
                key=lambda i: tensors[i].offset,
            )
            if not here:
                continue
            spans = [
                (shard.data + tensors[i].offset, shard.data + tensors[i].offset + tensors[i].bytes)
                for i in here
            ]
            done = [0] * len(here)  # elements delivered of each tensor
            rest = [b""] * len(here)  # the beginning of an element that continues in the next chunk
            for start, chunk in self._chunks(shard, spans):
                for k, (begin, end) in enumerate(spans):
                    piece = chunk[max(begin - start, 0) : max(end - start, 0)]
                    if not piece:
                        continue
                    if rest[k]:
                        piece = memoryview(rest[k] + piece)
                    width = tensors[here[k]].dtype.bytes
                    whole = len(piece)
                    if end > start + len(chunk):
                        whole -= whole % max(width, 4)
                    rest[k] = bytes(piece[whole:])
                    if whole:
                        yield here[k], done[k], piece[:whole]
                        done[k] += whole // width

    def _chunks(self, shard: Shard, spans: list[tuple[int, int]]) -> Iterator[tuple[int, memoryview]]:
        """Checked chunks that hold some of the spans, with where in the file they begin."""
        self._check_size(shard.file, shard.bytes)
        needed = sorted({i for begin, end in spans for i in range(begin // CHUNK, (end - 1) // CHUNK + 1)})
        with self.open(shard.file) as stream:
            for i in needed:
                stream.seek(i * CHUNK)
                data = stream.read(min(CHUNK, shard.bytes - i * CHUNK))
                if hashlib.sha256(data).hexdigest() != shard.chunks[i]:
                    raise HashError(
                        f"{shard.file}, chunk {i} (from byte {i * CHUNK}) does not have the bytes"
                        " that the pack was written with"
                    )
                yield i * CHUNK, memoryview(data)

    def _check_size(self, name: str, expected: int) -> None:
        size = self._files.size(name)
        if size != expected:
            raise HashError(f"{name} has {size} bytes, the pack was written with {expected}")


def _open(path: Path) -> _Files:
    if path.is_dir():
        return _Folder(path)
    try:
        return _Archive(path)
    except FileNotFoundError:
        raise MissingFileError(f"there is no pack at {path}") from None
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        if path.name == MANIFEST:
            raise PackError(f"{path} is the file of a pack that describes it: give its folder") from None
        hint = "; pyruntime.convert makes a pack of a model" if path.suffix == ".onnx" else ""
        raise PackError(f"{path} is neither a folder nor an archive of a pack: {error}{hint}") from None
