"""Writes weights as safetensors shards while they arrive, holding no more than one shard's arrays.

What is only made when it is written (`Deferred`) is held one at a time.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyruntime.ir.dtypes import PLAIN, DType
from pyruntime.pack.schema import CHUNK, Shard, StoredTensor, Weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARD_LIMIT = 64 << 20  # bytes of a shard's file, unless one tensor alone is larger
SAFETENSORS_DTYPES = {
    d: "BOOL" if d is DType.BOOL else f"{'F' if d.is_float else 'U' if d.is_unsigned else 'I'}{d.bits}"
    for d in PLAIN
}


class ChunkHasher:
    """SHA-256 of each 4 MiB of what it is given, and of the whole."""

    def __init__(self) -> None:
        self.chunks: list[str] = []
        self.bytes = 0
        self.whole = hashlib.sha256()
        self._chunk = hashlib.sha256()

    def update(self, data: memoryview) -> None:
        """Hash some more bytes."""
        self.whole.update(data)
        while data:
            piece = data[: CHUNK - self.bytes % CHUNK]
            self._chunk.update(piece)
            self.bytes += len(piece)
            if self.bytes % CHUNK == 0:
                self._next()
            data = data[len(piece) :]

    def finish(self) -> None:
        """Close the last chunk."""
        if self.bytes % CHUNK:
            self._next()

    def _next(self) -> None:
        self.chunks.append(self._chunk.hexdigest())
        self._chunk = hashlib.sha256()


@dataclass(frozen=True)
class Deferred:
    """So many elements that `make` gives when they are written, as an array of this dtype."""

    dtype: DType
    elements: int
    make: Callable[[], NDArray[Any]]

    @property
    def shape(self) -> tuple[int, ...]:
        """They are flat."""
        return (self.elements,)

    @property
    def nbytes(self) -> int:
        """Their bytes."""
        return self.elements * self.dtype.bytes


class WeightWriter:
    """Writes tensors to shards in `folder`, in the order in which they are added."""

    def __init__(self, folder: Path, limit: int = SHARD_LIMIT) -> None:
        self._folder, self._limit = folder, limit
        self._names: set[str] = {"__metadata__"}
        self._tensors: list[StoredTensor] = []
        self._shards: list[Shard] = []
        self._rows: list[str] = []  # of the shard being gathered: header rows, arrays, bytes
        self._arrays: list[NDArray[Any] | Deferred] = []
        self._bytes = 0

    def add(
        self,
        name: str,
        array: NDArray[Any] | Deferred,
        *,
        layout: str = "plain",
        shape: Sequence[int] | None = None,
    ) -> int:
        """The index of a new tensor that holds array's elements in row-major order.

        The array is written later: do not change it. A name that was used before gets a number.

        Args:
            name: the tensor's name in the model.
            array: elements as the kernels read them, already in `layout`; any dtype of `DType`.
            layout: how the elements were rearranged.
            shape: the shape before the rearrangement; array's own where there was none.
        """
        if isinstance(array, Deferred):
            dtype, elements = array.dtype, array.elements
        else:
            array = _little_endian(array)
            dtype, elements = DType(array.dtype.name), array.size
        unique = self._unique(name)
        kind = SAFETENSORS_DTYPES[dtype]
        if (
            self._rows
            and self._size(self._row(unique, kind, array, self._bytes)) + array.nbytes > self._limit
        ):
            self._flush()
        self._rows.append(self._row(unique, kind, array, self._bytes))
        self._arrays.append(array)
        tensor = StoredTensor(
            name=unique,
            dtype=dtype,
            elements=elements,
            shard=len(self._shards),
            offset=self._bytes,
            bytes=array.nbytes,
            layout=layout,
            shape=tuple(array.shape if shape is None else shape),
        )
        self._tensors.append(tensor)
        self._bytes += array.nbytes
        return len(self._tensors) - 1

    def finish(self) -> Weights:
        """What pack.json says of the weights; call once, after the last `add`."""
        if self._rows:
            self._flush()
        return Weights(shards=tuple(self._shards), tensors=tuple(self._tensors))

    def _unique(self, name: str) -> str:
        base = name or "weight"
        candidates: Iterator[str] = (
            base if i == 1 else f"{base}~{i}" for i in range(1, len(self._names) + 3)
        )
        unique = next(c for c in candidates if c not in self._names)
        self._names.add(unique)
        return unique

    @staticmethod
    def _row(name: str, kind: str, array: NDArray[Any] | Deferred, begin: int) -> str:
        described = {"dtype": kind, "shape": array.shape, "data_offsets": [begin, begin + array.nbytes]}
        return f"{json.dumps(name)}:{json.dumps(described, separators=(',', ':'))}"

    def _size(self, *more: str) -> int:
        """Bytes of the gathered shard with further header rows."""
        header = sum(len(r) + 1 for r in (*self._rows, *more)) + 1
        return 8 + 8 * math.ceil(header / 8) + self._bytes

    def _flush(self) -> None:
        header = ("{" + ",".join(self._rows) + "}").encode("ascii")
        header += b" " * (-len(header) % 8)
        preamble = len(header).to_bytes(8, "little") + header
        hasher = ChunkHasher()
        unnamed = self._folder / "weights.part"
        with unnamed.open("wb") as file:
            for piece in _pieces(preamble, self._arrays):
                hasher.update(piece)
                file.write(piece)
        hasher.finish()
        name = f"weights-{hasher.whole.hexdigest()[:16]}.safetensors"
        unnamed.replace(self._folder / name)
        self._shards.append(Shard(name, hasher.bytes, len(preamble), tuple(hasher.chunks)))
        self._rows, self._arrays, self._bytes = [], [], 0


def _little_endian(array: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    return np.asarray(array, array.dtype.newbyteorder("<"), order="C")


def _pieces(preamble: bytes, arrays: Iterable[NDArray[Any] | Deferred]) -> Iterator[memoryview]:
    yield memoryview(preamble)
    for array in arrays:
        made = _little_endian(array.make()) if isinstance(array, Deferred) else array
        assert made.nbytes == array.nbytes, f"{made.nbytes} bytes were made, not {array.nbytes}"
        yield made.reshape(-1).view("u1").data
