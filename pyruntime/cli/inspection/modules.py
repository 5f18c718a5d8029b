"""What a Wasm module is made of: bytes of its code and data, and how many functions it has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pyruntime.errors import PackError

_HEADER = b"\0asm\1\0\0\0"
_CODE, _DATA = 10, 11


@dataclass(frozen=True)
class Module:
    """A variant of the Wasm target: the features that it requires, and its bytes."""

    file: str
    requires: tuple[str, ...]
    bytes: int
    functions: int
    code: int
    data: int
    longest: int  # bytes of the longest function


def module_of(file: str, requires: Sequence[str], content: bytes) -> Module:
    """Look at a module's sections. Raises PackError for what is no Wasm module."""
    try:
        sections = dict(_sections(content))
        code = sections.get(_CODE, b"")
        lengths = [*_bodies(code)] if code else []
    except IndexError:
        raise PackError(f"{file} is not a whole Wasm module") from None
    data = len(sections.get(_DATA, b""))
    return Module(file, tuple(requires), len(content), len(lengths), len(code), data, max(lengths, default=0))


def _sections(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Each section's id and content; of custom ones, which share an id, the last."""
    if content[: len(_HEADER)] != _HEADER:
        raise IndexError
    place = len(_HEADER)
    while place < len(content):
        size, start = _unsigned(content, place + 1)
        if start + size > len(content):
            raise IndexError
        yield content[place], content[start : start + size]
        place = start + size


def _bodies(code: bytes) -> Iterator[int]:
    """The length of each function's body."""
    count, place = _unsigned(code, 0)
    for _ in range(count):
        size, place = _unsigned(code, place)
        yield size
        place += size


def _unsigned(content: bytes, place: int) -> tuple[int, int]:
    """A LEB128 number of 32 bits, and where it ends."""
    value = 0
    for shift in range(0, 35, 7):
        byte = content[place]
        value, place = value | (byte & 0x7F) << shift, place + 1
        if byte < 0x80:
            return value, place
    raise IndexError
