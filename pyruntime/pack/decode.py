"""Decoding of JSON into dataclasses whose fields declare what they take, with errors that name the path.

A field is declared once: `bytes: int = item(integer())`. Decoders raise Invalid; every container adds its
step to the path on the way out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, TypeVar

Decoder = Callable[[Any], Any]
T = TypeVar("T")

MAX_INTEGER = 2**53 - 1  # what JavaScript holds exactly
_ABSENT = dataclasses.MISSING


class Invalid(ValueError):  # noqa: N818 - not an error of its own: reported as PackError with the path
    """A value that the schema does not allow; `path` grows while the error travels outwards."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        self.path: list[str | int] = []
        super().__init__(reason)

    def __str__(self) -> str:
        steps = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in reversed(self.path))
        return f"{steps.lstrip('.')}: {self.reason}" if steps else self.reason


def shown(value: object) -> str:
    """A short text of a JSON value for a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def item(decoder: Decoder, *, key: str = "", default: Any = _ABSENT) -> Any:
    """A dataclass field: its decoder, its JSON key where that differs, its default where it is optional."""
    return dataclasses.field(default=default, metadata={"decode": decoder, "key": key})


def key_of(field: dataclasses.Field[Any]) -> str:
    """The JSON key of a field."""
    key: str = field.metadata["key"] or field.name
    return key


def integer(low: int = 0, high: int = MAX_INTEGER) -> Decoder:
    """An integer in low..high."""

    def decode(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise Invalid(f"expected an integer from {low} to {high}, got {shown(value)}")
        return value

    return decode


def text(what: str = "text", accepts: Callable[[str], object] = lambda _: True) -> Decoder:
    """A string that `accepts` holds for; `what` describes it."""

    def decode(value: Any) -> str:
        if not isinstance(value, str) or not accepts(value):
            raise Invalid(f"expected {what}, got {shown(value)}")
        return value

    return decode


def choice(*allowed: str) -> Decoder:
    """One of these strings."""
    return text(" or ".join(map(repr, allowed)), allowed.__contains__)


def array(decoder: Decoder, *, least: int = 0, exactly: int | None = None) -> Decoder:
    """An array of what decoder takes, as a tuple."""

    def decode(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise Invalid(f"expected an array, got {shown(value)}")
        if len(value) < least or exactly not in (None, len(value)):
            raise Invalid(f"expected {exactly or f'at least {least}'} elements, got {len(value)}")
        return tuple(_step(i, decoder, v) for i, v in enumerate(value))

    return decode


def mapping(decoder: Decoder) -> Decoder:
    """An object with any keys."""

    def decode(value: Any) -> dict[str, Any]:
        return {k: _step(k, decoder, v) for k, v in _object(value).items()}

    return decode


def anything(value: Any) -> Any:
    """Any JSON value, as it is."""
    return value


def record(cls: type[T]) -> Callable[[Any], T]:
    """An object with cls's fields; keys that cls does not know are ignored."""
    fields = [(f, key_of(f)) for f in dataclasses.fields(cls)]  # type: ignore[arg-type]  # T is a dataclass

    def decode(value: Any) -> T:
        given = _object(value)
        made = {}
        for field, key in fields:
            if key in given:
                made[field.name] = _step(key, field.metadata["decode"], given[key])
            elif field.default is _ABSENT:
                raise Invalid(f"{key!r} is missing")
        return cls(**made)

    return decode


def positional(cls: type[T]) -> Callable[[Any], T]:
    """An array with cls's fields in order."""
    decoders = [f.metadata["decode"] for f in dataclasses.fields(cls)]  # type: ignore[arg-type]  # T is a dataclass

    def decode(value: Any) -> T:
        if not isinstance(value, list) or len(value) != len(decoders):
            raise Invalid(f"expected an array of {len(decoders)} elements, got {shown(value)}")
        return cls(*(_step(i, d, v) for i, (d, v) in enumerate(zip(decoders, value, strict=True))))

    return decode


def tagged(tag: str, kinds: Mapping[str, Decoder]) -> Decoder:
    """An object whose field `tag` says which of the decoders takes it."""

    def decode(value: Any) -> Any:
        kind = _object(value).get(tag)
        if not isinstance(kind, str) or kind not in kinds:
            raise Invalid(f"{tag!r} must be one of {', '.join(sorted(kinds))}, got {shown(kind)}")
        return kinds[kind](value)

    return decode


def encode(value: Any) -> Any:
    """The JSON form of a value made of records: the inverse of decoding."""
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        if getattr(value, "POSITIONAL", False):
            return [encode(getattr(value, f.name)) for f in fields]
        made = {key_of(f): getattr(value, f.name) for f in fields if getattr(value, f.name) != f.default}
        tag = getattr(value, "TAG", None)
        return {**(dict([tag]) if tag else {}), **{k: encode(v) for k, v in made.items()}}
    if isinstance(value, Mapping):
        return {k: encode(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [encode(v) for v in value]
    return value.value if isinstance(value, Enum) else value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Invalid(f"expected an object, got {shown(value)}")
    return value


def _step(step: str | int, decoder: Decoder, value: Any) -> Any:
    try:
        return decoder(value)
    except Invalid as error:
        error.path.append(step)
        raise
