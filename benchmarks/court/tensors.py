"""Tensors between the court and its engines: safetensors files, and outputs as JavaScript gives them."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensors = dict[str, NDArray[Any]]

NAMES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
_OF = {dtype: name for name, dtype in NAMES.items()}
ARRAYS = {
    "Float32Array": np.float32,
    "Float64Array": np.float64,
    "BigInt64Array": np.int64,
    "Int32Array": np.int32,
    "Int8Array": np.int8,
    "Uint8Array": np.uint8,
    "Uint8ClampedArray": np.uint8,
}


def read(path: Path) -> Tensors:
    """The tensors of a safetensors file, in its order."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    found: Tensors = {}
    for name, told in header.items():
        start, end = (8 + length + at for at in told["data_offsets"])
        flat = np.frombuffer(data[start:end], NAMES[told["dtype"]])
        found[name] = flat.reshape(told["shape"])
    return found


def write(path: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
    """A safetensors file of these, in their order."""
    header: dict[str, Any] = {}
    at = 0
    for name, array in tensors.items():
        header[name] = {
            "dtype": _OF[str(array.dtype)],
            "shape": list(array.shape),
            "data_offsets": [at, at := at + array.nbytes],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = [np.ascontiguousarray(a).tobytes() for a in tensors.values()]
    path.write_bytes(b"".join([struct.pack("<Q", len(text)), text, *parts]))


def received(outputs: Sequence[Mapping[str, str]]) -> Tensors:
    """What `encode` in tensors.js wrote: flat arrays by name, in the model's order."""
    return {o["name"]: np.frombuffer(base64.b64decode(o["base64"]), ARRAYS[o["array"]]) for o in outputs}
