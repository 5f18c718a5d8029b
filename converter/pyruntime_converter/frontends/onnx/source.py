"""Reads an ONNX file or its bytes into a ModelProto, and says clearly why that cannot be done."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from pyruntime.errors import ModelError, UnsupportedError

# the newest ModelProto version that the installed onnx package knows
NEWEST_IR_VERSION = int(onnx.IR_VERSION)


@dataclass(frozen=True)
class Source:
    """A parsed model file: `where` names it in messages, `folder` may hold its external weights."""

    proto: onnx.ModelProto
    sha256: str
    where: str
    folder: Path | None


def load(source: str | Path | bytes) -> Source:
    """Parse an ONNX model. Raises ModelError naming the path and what was found there instead."""
    if isinstance(source, bytes):
        content, where, folder = source, f"ONNX model ({len(source)} bytes)", None
    else:
        path = Path(source)
        content, where, folder = _content(path), str(path), path.parent
    if not content:
        raise ModelError(f"{where}: empty, not an ONNX model")
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(content)
    except DecodeError as error:
        raise ModelError(
            f"{where}: damaged, truncated or not an ONNX model "
            f"({len(content)} bytes beginning with {content[:8]!r}; {error})"
        ) from None
    _check(proto, where, content)
    return Source(proto, hashlib.sha256(content).hexdigest(), where, folder)


def _content(path: Path) -> bytes:
    if path.is_dir():
        raise ModelError(f"{path}: a folder, not an ONNX file")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from None


def _check(proto: onnx.ModelProto, where: str, content: bytes) -> None:
    if not proto.HasField("graph") or not proto.ir_version:
        # protobuf accepts many byte strings that are something else
        found = "no graph" if proto.ir_version else "no IR version"
        raise ModelError(
            f"{where}: not an ONNX model ({len(content)} bytes beginning with {content[:8]!r}; {found})"
        )
    if proto.ir_version > NEWEST_IR_VERSION:
        raise UnsupportedError(
            "model",
            where,
            f"ONNX IR version {proto.ir_version} is newer than {NEWEST_IR_VERSION}, the newest that is known",
            "Upgrade the onnx package, or export with an older IR version.",
        )
    _check_text(proto, where)
    if not proto.graph.output:
        raise ModelError(f"{where}: the graph has no outputs")


def _check_text(message: Message, where: str) -> None:
    """Raise ModelError for names that are no text: protobuf hands those out as bytes."""
    for field, value in _fields(message):
        single = isinstance(value, (str, bytes, Message))
        for item in (value,) if single else value if field.type in _WITH_TEXT else ():
            if isinstance(item, Message):
                _check_text(item, where)
            elif field.type == field.TYPE_STRING and isinstance(item, bytes):
                raise ModelError(f"{where}: damaged: {field.name} {item!r} is not text")


_WITH_TEXT = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE)


def _fields(message: Message) -> list[tuple[Any, Any]]:
    """The filled fields; of a tensor those beside its elements, since to look at bytes copies them."""
    if not isinstance(message, onnx.TensorProto):
        return list(message.ListFields())
    names = ("name", "external_data")
    return [(message.DESCRIPTOR.fields_by_name[n], getattr(message, n)) for n in names]


def opsets(proto: onnx.ModelProto, where: str) -> dict[str, int]:
    """Version of each operator set that the model imports, by domain; the default domain is ""."""
    first = {"": 1} if proto.ir_version < 3 else {}
    return first | imported(proto.opset_import, where)


def imported(entries: Iterable[onnx.OperatorSetIdProto], where: str) -> dict[str, int]:
    """Version of each operator set, by domain. Raises UnsupportedError, and ModelError for what is none."""
    found = {domain(entry.domain): int(entry.version) for entry in entries}
    newest = onnx.defs.onnx_opset_version()
    if found.get("", newest) > newest:
        raise UnsupportedError(
            "model",
            where,
            f"opset {found['']} is newer than {newest}, the newest that is known",
            "Upgrade the onnx package, or export with an older opset.",
        )
    for version in found.values():
        if not 1 <= version < 1 << 31:
            raise ModelError(f"{where}: opset version {version}")
    return found


def domain(name: str) -> str:
    """The one spelling of an operator set's domain."""
    return "" if name == "ai.onnx" else name
