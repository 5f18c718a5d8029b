"""Small packs to damage, which together have every field of the schema, and ways to damage their files."""

from __future__ import annotations

import hashlib
import io
import json
import math
import random
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import pyruntime
from pyruntime.pack.manifest import decode_manifest
from pyruntime.pack.schema import CHUNK
from tests.formats.fixtures import ARCHIVES, unpack
from tests.frontends.argument_models import MODELS as ARGUMENTS
from tests.frontends.form_models import two_forms
from tests.frontends.mixed_models import MODELS as MIXED
from tests.frontends.test_onnx_lists import sums
from tests.hostile.damage import cut, flip, splice
from tests.hostile.manifests import FIELDS, Place, by_field, mutated
from tests.packs import handmade
from tests.packs.maker import compiler_missing
from tests.packs.tuned import tune_first
from tests.state.streams import STREAMS

MANIFEST = "pack.json"
TUNED = "tuned"
ENDLESS = ("control",)  # on zeros: a GPU's commands take longer to be too many
EMPTY_MODULE = b"\0asm\1\0\0\0"
Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Original:
    """A pack's files, and what pack.json says.

    Attributes:
        fields: the places in pack.json, by the schema's fields.
        gpu: whether running it on zeros ends soon on a GPU, too.
    """

    name: str
    files: Files
    manifest: Any
    fields: Mapping[str, list[Place]]
    gpu: bool


@dataclass(frozen=True)
class Damaged:
    """A pack's files after damage: in a folder, or as one archive under the name "".

    Attributes:
        fields: of the schema, those that were changed.
        own: whether code and sizes are its author's alone, as he pleases.
    """

    kind: str
    files: Files
    fields: list[str] = field(default_factory=list)
    own: bool = False
    gpu: bool = False


def _models() -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """What packs of the present format are made of beside the committed ones: names, models and options."""
    for stream in (make() for make in STREAMS):
        if stream.name in ("cell", "cache", "history"):
            yield stream.name, stream.proto.SerializeToString(), {"state": stream.state, **stream.options}
    for name in ("looped", "ended_by_doubles"):
        yield name, MIXED[name]()[0].SerializeToString(), {}
    for name in ("Resize-fed-scales-linear-half_pixel", "Trilu-0"):
        yield name, ARGUMENTS[name][0].SerializeToString(), {}
    yield "lists", sums().SerializeToString(), {"elements": {"x": 2, "y": 2}}
    yield TUNED, two_forms().SerializeToString(), {"tunable": True}


def originals(folder: Path) -> list[Original]:
    """The committed packs, and some more; `folder` is where they are made."""
    unpack(ARCHIVES[-1], folder)
    for name, model, options in _models():
        (folder / f"{name}.onnx").write_bytes(model)
        pyruntime.convert(folder / f"{name}.onnx", folder / name, **options)
    tune_first(folder / TUNED, "maker", "family", "model")
    if not compiler_missing():
        handmade.write(folder)
    return [_original(path) for path in sorted(folder.iterdir()) if path.is_dir()]


def _original(path: Path) -> Original:
    files = {f.name: f.read_bytes() for f in path.iterdir()}
    manifest = json.loads(files[MANIFEST])
    manifest.pop("report", None)  # nothing that readers look into, and long
    fields = by_field(decode_manifest(json.dumps(manifest).encode()))
    return Original(path.name, files, manifest, fields, gpu=path.name not in ENDLESS)


def _manifest(packs: Sequence[Original], draw: random.Random) -> Damaged:
    """Another pack.json; each field of the schema is as likely to be changed as any other."""
    field = draw.choice(sorted(FIELDS))
    original = draw.choice([pack for pack in packs if field in pack.fields])
    manifest, fields = mutated(original.manifest, original.fields, draw, field)
    files = {**original.files, MANIFEST: json.dumps(manifest).encode()}
    return Damaged("pack.json: fields", files, fields, own=True, gpu=original.gpu)


def _text(packs: Sequence[Original], draw: random.Random) -> Damaged:
    """Other bytes in pack.json."""
    original = draw.choice(packs)
    text = draw.choice((flip, cut, splice, _nested))(original.files[MANIFEST], draw)
    return Damaged("pack.json: bytes", {**original.files, MANIFEST: text}, own=True, gpu=original.gpu)


def _nested(text: bytes, draw: random.Random) -> bytes:
    """Arrays in arrays, many deep, somewhere."""
    at = draw.randrange(len(text))
    return text[:at] + b"[" * draw.choice((100, 1000, 100_000)) + text[at:]


def _file(packs: Sequence[Original], draw: random.Random) -> Damaged:
    """A file that is cut, changed, replaced or missing; pack.json has its own sums."""
    original = draw.choice(packs)
    name = draw.choice(sorted(original.files.keys() - {MANIFEST}))
    way = draw.choice((flip, cut, splice, _other_file, None))
    files = {**original.files}
    if way is None:
        del files[name]
    else:
        files[name] = way(files[name], draw)
    return Damaged("files", files)


def _other_file(data: bytes, draw: random.Random) -> bytes:
    return draw.choice((b"", EMPTY_MODULE, data[::-1], draw.randbytes(len(data))))


def _trusted(packs: Sequence[Original], draw: random.Random) -> Damaged:
    """A file that is changed, and pack.json says so: the code of somebody who means harm."""
    original = draw.choice(packs)
    name = draw.choice(sorted(original.files.keys() - {MANIFEST}))
    files = {**original.files}
    files[name] = draw.choice((flip, flip, cut, splice, _other_file))(files[name], draw)
    manifest = json.loads(json.dumps(original.manifest))
    _restate(manifest, name, files[name])
    return Damaged("files, with their sums", {**files, MANIFEST: json.dumps(manifest).encode()}, own=True)


def _restate(value: Any, name: str, data: bytes) -> None:
    """Say everywhere in a manifest what a file has now."""
    if isinstance(value, dict) and value.get("file") == name:
        value["bytes"] = len(data)
        if "sha256" in value:
            value["sha256"] = hashlib.sha256(data).hexdigest()
        if "chunks" in value:
            value["chunks"] = [
                hashlib.sha256(data[i : i + CHUNK]).hexdigest() for i in range(0, len(data), CHUNK)
            ]
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _restate(inner, name, data)


def _archive(packs: Sequence[Original], draw: random.Random) -> Damaged:
    """The pack as an archive, whose bytes are others."""
    original = draw.choice(packs)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in original.files.items():
            archive.writestr(name, data)
    return Damaged("archives", {"": draw.choice((flip, cut, splice))(made.getvalue(), draw)}, own=True)


WAYS: tuple[Callable[[Sequence[Original], random.Random], Damaged], ...] = (
    *(_manifest,) * 6,
    *(_text, _file, _trusted, _archive),
)


def damaged(packs: Sequence[Original], draw: random.Random) -> Damaged:
    """A pack, damaged in one of the ways."""
    return draw.choice(WAYS)(packs, draw)


def zeros(session: pyruntime.Session) -> dict[str, Any]:
    """Feeds that fit the session's inputs, with 3 for every symbol."""
    shapes = {s.name: tuple(d if isinstance(d, int) else 3 for d in s.shape) for s in session.inputs}
    return {
        s.name: np.full(shapes[s.name], "", object)
        if s.dtype == "string"
        else np.zeros(shapes[s.name], s.dtype)
        for s in session.inputs
        if math.prod(shapes[s.name]) < 1e6
    }
