"""Strings as rows of bytes: UTF-8, then END up to a common width. Graphs, packs and sessions hold them so."""

from __future__ import annotations

from collections.abc import Sequence

END = 0xFF  # no byte of UTF-8; a zero may be a character
WIDTH_STEP = 8  # of what is fed: a plan of memory serves strings of nearly the same length


def encode(strings: Sequence[str], step: int = 1) -> tuple[bytes, int]:
    """The rows one after the other, and their width: the least multiple of `step` that all fit.

    Raises UnicodeEncodeError for what is no text, such as half of a surrogate pair.
    """
    rows = [s.encode() for s in strings]
    width = -(-max(1, *map(len, rows), 1) // step) * step
    return b"".join(row.ljust(width, b"\xff") for row in rows), width


def decode(data: bytes | memoryview, width: int, count: int) -> list[str]:
    """`count` strings of rows that are `width` bytes wide; what follows an END does not count.

    Raises UnicodeDecodeError for bytes that are not UTF-8.
    """
    whole = bytes(data)
    rows = (whole[i * width : (i + 1) * width] for i in range(count))
    return [row.partition(b"\xff")[0].decode() for row in rows]
