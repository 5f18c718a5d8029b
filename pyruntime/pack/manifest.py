"""pack.json's bytes to a manifest and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyruntime.errors import PackError, PackVersionError
from pyruntime.pack.decode import Invalid, array, encode, integer, item, record, text
from pyruntime.pack.schema import FORMAT, KNOWN_REQUIREMENTS, Manifest

_MANIFEST = record(Manifest)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Invalid(f"an object has a key twice: {sorted(k for k, _ in pairs)}")
    return made


def _parsed(data: bytes) -> Any:
    """What the JSON says. Raises PackError for anything else, Invalid for a key that comes twice."""
    try:
        return json.loads(data, object_pairs_hook=_unique)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise PackError(f"pack.json is not JSON ({error}); it begins with {data[:24]!r}") from None


def decode_manifest(data: bytes) -> Manifest:
    """The manifest of pack.json's bytes, as yet unvalidated.

    Raises PackVersionError for a newer format or an unknown requirement, PackError for anything malformed.
    """
    try:
        value = _parsed(data)
        version = record(_Version)(value)
        if version.format > FORMAT:
            raise PackVersionError(
                f"pack.json: the pack has format {version.format}, and this version of pyruntime reads"
                f" up to {FORMAT}; update pyruntime"
            )
        unknown = sorted(set(version.requires) - KNOWN_REQUIREMENTS)
        if unknown:
            raise PackVersionError(f"pack.json: the pack requires {', '.join(unknown)}; update pyruntime")
        return _MANIFEST(value)
    except (ValueError, RecursionError) as error:
        raise PackError(f"pack.json: {error}") from None


@dataclass(frozen=True)
class _Version:
    """What is looked at before anything else."""

    format: int = item(integer())
    requires: Sequence[str] = item(array(text()))


def encode_manifest(manifest: Manifest) -> bytes:
    """pack.json's bytes, the same for equal manifests: one line for each innermost record."""
    return layout(encode(manifest))


def layout(value: Any) -> bytes:
    """The bytes of pack.json's content."""
    return (_layout(value, "") + "\n").encode()


def _layout(value: Any, indent: str) -> str:
    """JSON text that breaks lines only in containers with objects somewhere inside."""
    inner = indent + " "
    if isinstance(value, dict) and any(map(_holds_objects, value.values())):
        lines = [f"{inner}{json.dumps(k)}: {_layout(v, inner)}" for k, v in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and any(map(_holds_objects, value)):
        return "[\n" + ",\n".join(inner + _layout(v, inner) for v in value) + f"\n{indent}]"
    return json.dumps(value, allow_nan=False)


def _holds_objects(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(map(_holds_objects, value)))
