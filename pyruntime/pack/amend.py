"""Changes what a written pack has for some GPU, so that it is the old pack or the new, never between."""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from pyruntime.errors import PackError
from pyruntime.pack.alternatives import Alternatives, encode_alternatives
from pyruntime.pack.manifest import decode_manifest, layout
from pyruntime.pack.reader import MANIFEST, Pack
from pyruntime.pack.validate import validate
from pyruntime.pack.writer import Archived, archive


def set_tuned(path: Path, vendor: str, architecture: str, device: str, best: Alternatives | None) -> None:
    """Make `best` what the pack at `path` has for a GPU, first of all; None: that it has nothing.

    What it had for a GPU of the same names is replaced. What pack.json says else stays, be it known or not.

    Raises:
        PackError: the pack cannot be written.
    """
    names = {"vendor": vendor, "architecture": architecture, "device": device}
    with Pack(path) as pack:
        content = json.loads(pack.manifest_bytes())
        target = content["targets"]["webgpu"]
        old = target.get("tuned", [])
        others = [t for t in old if any(t[key] != value for key, value in names.items())]
        data = b"" if best is None else encode_alternatives(best)
        digest = hashlib.sha256(data).hexdigest()
        file = f"tuned-{digest[:16]}.json"
        new = [{"file": file, "bytes": len(data), "sha256": digest, **names}] if data else []
        target["tuned"] = [*new, *others]
        if not target["tuned"]:
            del target["tuned"]
        manifest = layout(content)
        checked = decode_manifest(manifest)
        validate(checked)
        added = {file: data} if data else {}
        gone = {t["file"] for t in old} - {t["file"] for t in target.get("tuned", ())}
        try:
            (_amend_folder if path.is_dir() else _amend_archive)(path, manifest, added, gone)
        except OSError as error:
            raise PackError(f"cannot write {path}: {error.strerror or error}") from error


def _amend_folder(path: Path, manifest: bytes, added: dict[str, bytes], gone: set[str]) -> None:
    """New files first, then pack.json, which names them, in one step; at last what nothing names any more."""
    for name, data in {**added, MANIFEST: manifest}.items():
        _replace(path / name, partial(_write, data))
    for name in gone:
        (path / name).unlink(missing_ok=True)


def _write(data: bytes, file: BinaryIO) -> None:
    file.write(data)


def _amend_archive(path: Path, manifest: bytes, added: dict[str, bytes], gone: set[str]) -> None:
    """All of it anew."""
    written = {MANIFEST: manifest, **added}
    with zipfile.ZipFile(path) as old:
        kept = [i for i in old.infolist() if i.filename not in written and i.filename not in gone]
        members: list[Archived] = [
            *((name, len(data), partial(io.BytesIO, data)) for name, data in written.items()),
            *((i.filename, i.file_size, partial(_member, old, i.filename)) for i in kept),
        ]
        _replace(path, lambda file: archive(file, members))


def _member(old: zipfile.ZipFile, name: str) -> BinaryIO:
    return cast(BinaryIO, old.open(name))


def _replace(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a file beside `path`, and rename it."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with beside.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
