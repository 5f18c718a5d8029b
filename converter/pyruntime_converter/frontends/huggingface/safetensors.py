"""Reads safetensors files by memory mapping; the header is checked before anything relies on it.

Format: https://github.com/huggingface/safetensors#format. Eight bytes give the header's length, the header is
JSON, and the tensors' bytes fill the rest of the file without gaps.
"""

from __future__ import annotations

import itertools
import json
import math
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from pyruntime.errors import ModelError, UnsupportedError

LARGEST_HEADER = 100_000_000  # bytes: the limit of the reference implementation
# bits of an element, for every dtype of the format
_BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}
_FLOATS: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}


@dataclass(frozen=True)
class Row:
    """A tensor as the header describes it; its bytes are [begin, end) of the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class SafetensorsFile:
    """One file, mapped into memory; arrays keep the mapping alive.

    Attributes:
        path: where it is.
        rows: what the header says, by tensor.

    Raises:
        ModelError: the file is missing, truncated or no safetensors file, or its header contradicts it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                size = file.seek(0, 2)
                if size < 8:
                    raise ModelError(f"{path}: {size} bytes are no safetensors file")
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            raise ModelError(f"{path}: no such file") from None
        except (OSError, ValueError) as error:
            raise ModelError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
        self.rows = self._header(size)

    def array(self, name: str) -> NDArray[Any]:
        """A tensor of floats: a view of the file for F32 and F16, widened to float32 for BF16.

        Raises UnsupportedError for elements of another kind. KeyError: there is no such tensor.
        """
        row = self.rows[name]
        if row.dtype not in _FLOATS:
            known = ", ".join(_FLOATS)
            raise UnsupportedError(
                "weight",
                name,
                f"its elements are {row.dtype}; supported are {known} ({self.path})",
                "Save the model in one of these.",
            )
        elements: NDArray[Any] = np.frombuffer(
            self._map, _FLOATS[row.dtype], count=math.prod(row.shape), offset=row.begin
        )
        if row.dtype == "BF16":  # the upper half of a float32
            elements = (elements.astype(np.uint32) << 16).view(np.float32)
        return elements.reshape(row.shape)

    def release(self, name: str) -> None:
        """Let go of the memory that holds a tensor's bytes; they are read again when they are used again."""
        if hasattr(mmap, "MADV_DONTNEED"):
            row = self.rows[name]
            first = row.begin // mmap.PAGESIZE * mmap.PAGESIZE
            self._map.madvise(mmap.MADV_DONTNEED, first, row.end - first)

    def _wrong(self, problem: str) -> ModelError:
        return ModelError(f"{self.path}: damaged, truncated or not a safetensors file: {problem}")

    def _header(self, size: int) -> dict[str, Row]:
        length = int.from_bytes(self._map[:8], "little")
        if length > min(LARGEST_HEADER, size - 8):
            raise self._wrong(f"a header of {length} bytes in a file of {size}")
        try:
            header = json.loads(self._map[8 : 8 + length], object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            raise self._wrong(f"its header is not JSON: {error}") from None
        if not isinstance(header, dict):
            raise self._wrong("its header is not an object")
        base = 8 + length
        rows = {k: self._row(k, v, base, size) for k, v in header.items() if k != "__metadata__"}
        spans = sorted((r.begin, r.end, k) for k, r in rows.items())
        end = base
        for begin, after, name in spans:
            if begin != end:
                raise self._wrong(f"tensor {name!r} {'overlaps another' if begin < end else 'follows a gap'}")
            end = after
        if end != size:
            raise self._wrong(f"{size - end} bytes belong to no tensor")
        return rows

    def _row(self, name: str, value: Any, base: int, size: int) -> Row:
        if not isinstance(value, dict):
            raise self._wrong(f"tensor {name!r} is described by {value!r:.60}")
        dtype, shape, offsets = (value.get(key) for key in ("dtype", "shape", "data_offsets"))
        if not isinstance(dtype, str) or dtype not in _BITS:
            raise self._wrong(f"tensor {name!r} has dtype {dtype!r:.60}")
        if not (_sizes(shape) and _sizes(offsets) and len(offsets) == 2):
            raise self._wrong(f"tensor {name!r} has shape {shape!r:.60} and offsets {offsets!r:.60}")
        begin, end = base + offsets[0], base + offsets[1]
        bits = math.prod(shape) * _BITS[dtype]
        if begin > end or end > size:
            raise self._wrong(f"tensor {name!r} lies at bytes {begin} to {end} of {size}")
        if bits != 8 * (end - begin):
            raise self._wrong(f"tensor {name!r}, {dtype} of shape {tuple(shape)}, has {end - begin} bytes")
        return Row(dtype, tuple(shape), begin, end)


def _sizes(value: Any) -> TypeGuard[list[int]]:
    return (
        isinstance(value, list)
        and len(value) <= 64
        and all(isinstance(v, int) and not isinstance(v, bool) and 0 <= v < 1 << 63 for v in value)
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = sorted(k for k, _ in pairs)
        twice = next(a for a, b in itertools.pairwise(names) if a == b)
        raise ValueError(f"{twice!r} is there twice")
    return made
