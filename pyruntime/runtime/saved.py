"""State as bytes: a safetensors file that says of which model it is, the same from Python and TypeScript."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from pyruntime.errors import StateError
from pyruntime.ir.dtypes import DType
from pyruntime.runtime.tensors import Tensor

FORMAT = "pyruntime-state-0"
_NAMES = {
    DType.BOOL: "BOOL",
    **{d: d.name for d in (DType.I8, DType.I16, DType.I32, DType.I64)},
    **{d: d.name for d in (DType.U8, DType.U16, DType.U32, DType.U64)},
    **{d: d.name for d in (DType.F16, DType.F32, DType.F64)},
}
_DTYPES = {name: dtype for dtype, name in _NAMES.items()}


def encode(model: str, tensors: Mapping[str, Tensor]) -> bytes:
    """The file for these tensors, in their order; `model` identifies the model that they belong to."""
    header: dict[str, Any] = {"__metadata__": {"format": FORMAT, "model": model}}
    at = 0
    for name, tensor in tensors.items():
        end = at + len(tensor.data)
        header[name] = {
            "dtype": _NAMES[DType(tensor.dtype)],
            "shape": list(tensor.shape),
            "data_offsets": [at, end],
        }
        at = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([struct.pack("<Q", len(text)), text, *(t.data for t in tensors.values())])


def decode(data: bytes | bytearray | memoryview, model: str, names: Sequence[str]) -> dict[str, Tensor]:
    """The tensors of a file that `encode` wrote for this model and exactly these names.

    Raises StateError for bytes that are something else, damaged, or of another model.
    """
    view = memoryview(data).cast("B")
    header, start = _header(view)
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise StateError(f"these bytes are not a saved state: their format is not {FORMAT}")
    if metadata.get("model") != model:
        raise StateError("the state was saved by another model")
    if sorted(header) != sorted(names):
        raise StateError(f"the state that was saved has {_listed(header)}, the pack has {_listed(names)}")
    tensors, at = {}, start
    for name, told in header.items():
        tensor = _tensor(name, told, view, start)
        at += len(tensor.data)
        tensors[name] = tensor
    if at != len(view):
        raise StateError(f"the saved state has {len(view)} bytes, its tensors need {at}")
    return tensors


def _header(view: memoryview) -> tuple[dict[str, Any], int]:
    """The header, and where the data begins."""
    try:
        (length,) = struct.unpack_from("<Q", view)
        header = json.loads(bytes(view[8 : 8 + length]))
    except (struct.error, ValueError, RecursionError, OverflowError) as error:
        raise StateError(f"these bytes are not a saved state: {error}") from None
    if not isinstance(header, dict):
        raise StateError("these bytes are not a saved state: the header is no object")
    return header, 8 + length


def _tensor(name: str, told: Any, view: memoryview, start: int) -> Tensor:
    damaged = StateError(f"the saved state of {name!r} is damaged")
    if not isinstance(told, dict):
        raise damaged
    dtype, shape, offsets = told.get("dtype"), _sizes(told.get("shape")), _sizes(told.get("data_offsets"))
    if not isinstance(dtype, str) or dtype not in _DTYPES or shape is None or offsets is None:
        raise damaged
    known = _DTYPES[dtype]
    size = math.prod(shape) * known.bytes
    if len(offsets) != 2 or offsets[1] - offsets[0] != size or start + offsets[1] > len(view):
        raise damaged
    return Tensor(view[start + offsets[0] : start + offsets[1]], shape, known.value)


def _sizes(value: object) -> tuple[int, ...] | None:
    """A list of sizes, or None for anything else."""
    if not isinstance(value, list):
        return None
    sizes = tuple(v for v in value if isinstance(v, int) and not isinstance(v, bool) and 0 <= v < 2**53)
    return sizes if len(sizes) == len(value) else None


def _listed(names: Sequence[str] | Mapping[str, Any]) -> str:
    return ", ".join(map(repr, names)) or "none"
